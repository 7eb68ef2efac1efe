"""What the stand-in refuses inside a property."""

from collections.abc import Mapping

from lab.plugins.framework import Properties


def nested(inputs: Properties, implemented: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Return a fault for every key below a property of `implemented` that is not in its set."""
    faults = {}
    for name, keys in implemented.items():
        given = inputs.get(name, [])
        for item in given if isinstance(given, list) else [given]:
            if isinstance(item, dict) and (unknown := sorted(item.keys() - keys)):
                faults[name] = (
                    f"the lab's stand-in of docker does not implement {', '.join(unknown)}; install the official plugin"
                )
    return faults
