"""docker.RemoteImage."""

from collections.abc import Callable

from docker.errors import APIError, ImageNotFound

from lab.plugins.docker.engine import api, replacing
from lab.plugins.framework import Failed, Kind, Properties


def _found(name: str) -> Properties | None:
    try:
        image = api().inspect_image(name)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    digests = image.get("RepoDigests") or [""]
    return {"imageId": image["Id"], "repoDigest": digests[0]}


def create(inputs: Properties, show: Callable[[str], None]) -> tuple[str, Properties]:
    """Pull the image unless it is present."""
    name = inputs["name"]
    if not _found(name):
        show(f"pulling {name}")
        try:
            api().pull(name)
        except APIError as error:
            raise Failed(f"unable to pull image {name}: {error.explanation}") from None
    found = _found(name)
    if found is None:
        raise Failed(f"unable to find or pull image {name}")
    return found["imageId"] + name, {**inputs, **found}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look which image the name stands for now."""
    found = _found(outputs["name"])
    return None if found is None else {**outputs, **found}


def update(id_: str, olds: Properties, news: Properties, show: Callable[[str], None]) -> Properties:
    """Take on whether it is kept."""
    return {**olds, **news}


def delete(id_: str, outputs: Properties) -> None:
    """Remove the image unless it is to be kept."""
    if not outputs.get("keepLocally"):
        try:
            api().remove_image(outputs["name"])
        except ImageNotFound:
            pass
        except APIError as error:
            raise Failed(f"unable to remove image {outputs['name']}: {error.explanation}") from None


KIND = Kind(
    properties=frozenset({"name", "keepLocally"}),
    replacing=replacing("docker:index/remoteImage:RemoteImage"),
    delete_first=False,
    create=create,
    read=read,
    update=update,
    delete=delete,
)
