"""docker.Network."""

from collections.abc import Callable

from docker.errors import APIError, NotFound

from lab.plugins.docker.engine import api, replacing
from lab.plugins.framework import Failed, Kind, Properties


def create(inputs: Properties, show: Callable[[str], None]) -> tuple[str, Properties]:
    """Create the network; a second one of the same name is refused, though the engine would allow it."""
    if any(each["Name"] == inputs["name"] for each in api().networks(names=[inputs["name"]])):
        raise Failed(f"Unable to create network: network with name {inputs['name']} already exists")
    try:
        made = api().create_network(inputs["name"], driver="bridge", internal=inputs.get("internal", False))
    except APIError as error:
        raise Failed(f"Unable to create network: {error.explanation}") from None
    return made["Id"], {**inputs, "driver": "bridge", "scope": "local"}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look whether it is there."""
    try:
        found = api().inspect_network(id_)
    except NotFound:
        return None
    return {**outputs, "internal": found["Internal"]} if "internal" in outputs else outputs


def update(id_: str, olds: Properties, news: Properties, show: Callable[[str], None]) -> Properties:
    """Nothing of a network can change in place."""
    raise Failed("a network cannot be changed in place")


def delete(id_: str, outputs: Properties) -> None:
    """Remove the network."""
    try:
        api().remove_network(id_)
    except NotFound:
        pass
    except APIError as error:
        raise Failed(f"Unable to remove network: {error.explanation}") from None


KIND = Kind(
    properties=frozenset({"name", "internal"}),
    replacing=replacing("docker:index/network:Network"),
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
)
