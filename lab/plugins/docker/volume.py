"""docker.Volume."""

from collections.abc import Callable

from docker.errors import APIError, NotFound

from lab.plugins.docker.engine import api, replacing
from lab.plugins.framework import Failed, Kind, Properties


def create(inputs: Properties, show: Callable[[str], None]) -> tuple[str, Properties]:
    """Create the volume; like the real plugin, take one of that name over if it is there."""
    made = api().create_volume(inputs["name"])
    return made["Name"], {**inputs, "driver": made["Driver"], "mountpoint": made["Mountpoint"]}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look whether it is there."""
    try:
        api().inspect_volume(id_)
    except NotFound:
        return None
    return outputs


def update(id_: str, olds: Properties, news: Properties, show: Callable[[str], None]) -> Properties:
    """Nothing of a volume can change in place."""
    raise Failed("a volume cannot be changed in place")


def delete(id_: str, outputs: Properties) -> None:
    """Remove the volume."""
    try:
        api().remove_volume(id_)
    except NotFound:
        pass
    except APIError as error:
        raise Failed(f"Unable to remove volume: {error.explanation}") from None


KIND = Kind(
    properties=frozenset({"name"}),
    replacing=replacing("docker:index/volume:Volume"),
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
)
