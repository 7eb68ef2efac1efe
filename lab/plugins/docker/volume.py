"""docker.Volume."""

from docker.errors import NotFound

from lab.plugins.docker.engine import ERRORS, api, reason, replacing, until_released
from lab.plugins.framework import Failed, Kind, Properties, Screen


def check(inputs: Properties) -> dict[str, str]:
    """Refuse a volume without a name."""
    return {} if "name" in inputs else {"name": "must be set: the lab's stand-in of docker makes up no names"}


def create(inputs: Properties, show: Screen) -> tuple[str, Properties]:
    """Create the volume; like the real plugin, take one of that name over if it is there."""
    labels = {each["label"]: each["value"] for each in inputs.get("labels", [])}
    try:
        made = api().create_volume(inputs["name"], driver=inputs.get("driver"), labels=labels)
    except ERRORS as error:
        raise Failed(f"Unable to create volume: {reason(error)}") from None
    return str(made["Name"]), _outputs(made, inputs)


def _outputs(found: Properties, held: Properties) -> Properties:
    """Return what is held with what is there; the labels differ where the volume of that name is another one."""
    labels = found["Labels"] or {}
    outputs = {**held, "driver": found["Driver"], "mountpoint": found["Mountpoint"]}
    if {each["label"]: each["value"] for each in held.get("labels", [])} != labels:
        outputs["labels"] = [{"label": label, "value": value} for label, value in sorted(labels.items())]
    return outputs


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look at the volume."""
    try:
        return _outputs(api().inspect_volume(id_), outputs)
    except NotFound:
        return None
    except ERRORS as error:
        raise Failed(f"Unable to inspect volume: {reason(error)}") from None


def update(id_: str, olds: Properties, news: Properties, show: Screen) -> Properties:
    """Nothing of a volume can change in place."""
    raise Failed("a volume cannot be changed in place")


def delete(id_: str, outputs: Properties) -> None:
    """Remove the volume, waiting for containers that are on their way out."""
    try:
        until_released(lambda: api().remove_volume(id_, force=True), "volume is in use")
    except NotFound:
        pass
    except ERRORS as error:
        raise Failed(f"Unable to remove volume: {reason(error)}") from None


KIND = Kind(
    properties=frozenset({"name", "labels", "driver"}),
    replacing=replacing("docker:index/volume:Volume"),
    delete_first=True,
    create=create,
    read=read,
    update=update,
    delete=delete,
    check=check,
)
