"""docker.Network."""

from typing import Any

from docker.errors import NotFound

from lab.plugins.docker import refusal
from lab.plugins.docker.engine import ERRORS, api, reason, replacing, until_released
from lab.plugins.framework import Failed, Kind, Properties, Screen

IPAM = {"subnet": "Subnet", "gateway": "Gateway", "ipRange": "IPRange", "auxAddress": "AuxiliaryAddresses"}
"""Names of the real plugin → names of the engine."""


def check(inputs: Properties) -> dict[str, str]:
    """Refuse what the stand-in does not implement."""
    if "name" not in inputs:
        return {"name": "must be set: the lab's stand-in of docker makes up no names"}
    return refusal.nested(inputs, {"ipamConfigs": frozenset(IPAM)})


def create(inputs: Properties, show: Screen) -> tuple[str, Properties]:
    """Create the network; a second one of the same name is refused, though the engine would allow it."""
    configs = [{IPAM[key]: value for key, value in each.items()} for each in inputs.get("ipamConfigs", [])]
    ipam: Any = {"Driver": "default", "Config": configs} if configs else None
    try:
        made = api().create_network(
            inputs["name"],
            driver=inputs.get("driver", "bridge"),
            internal=inputs.get("internal", False),
            attachable=inputs.get("attachable", False),
            enable_ipv6=inputs.get("ipv6", False),
            labels={each["label"]: each["value"] for each in inputs.get("labels", [])},
            ipam=ipam,
            check_duplicate=True,
        )
        found = api().inspect_network(made["Id"])
    except ERRORS as error:
        raise Failed(f"Unable to create network: {reason(error)}") from None
    computed = {
        "driver": found["Driver"],
        "scope": found["Scope"],
        "ipamConfigs": [
            {ours: each[theirs] for ours, theirs in IPAM.items() if each.get(theirs)}
            for each in found["IPAM"]["Config"] or []
        ],
    }
    return str(made["Id"]), {**computed, **inputs}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look whether it is there: nothing of a network can be changed by hand."""
    try:
        api().inspect_network(id_)
    except NotFound:
        return None
    except ERRORS as error:
        raise Failed(f"Unable to inspect network: {reason(error)}") from None
    return outputs


def update(id_: str, olds: Properties, news: Properties, show: Screen) -> Properties:
    """Nothing of a network can change in place."""
    raise Failed("a network cannot be changed in place")


def delete(id_: str, outputs: Properties) -> None:
    """Remove the network, waiting for containers that are on their way out."""
    try:
        until_released(lambda: api().remove_network(id_), "has active endpoints")
    except NotFound:
        pass
    except ERRORS as error:
        raise Failed(f"Unable to remove network: {reason(error)}") from None


KIND = Kind(
    properties=frozenset({"name", "internal", "driver", "labels", "ipv6", "attachable", "ipamConfigs"}),
    replacing=replacing("docker:index/network:Network"),
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
    check=check,
)
