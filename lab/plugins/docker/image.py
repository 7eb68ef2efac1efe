"""docker.RemoteImage."""

from docker.errors import ImageNotFound

from lab.plugins.docker.engine import ERRORS, api, reason, replacing
from lab.plugins.framework import Failed, Kind, Properties, Screen


def pulled(name: str, show: Screen) -> Properties:
    """Return the image `name` stands for, pulled if it is not there; raises Failed."""
    try:
        if found := _found(name):
            return found
        show(f"pulling {name}")
        api().pull(name)
        found = _found(name)
    except ERRORS as error:
        raise Failed(f"unable to pull image {name}: {reason(error)}") from None
    if found is None:
        raise Failed(f"unable to find or pull image {name}")
    return found


def _found(name: str) -> Properties | None:
    try:
        image: Properties = api().inspect_image(name)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    digests = image.get("RepoDigests") or [""]
    # One image may come from several registries: the digest under this name is meant (the tag is no part of it).
    repository = name.partition("@")[0].partition(":")[0]
    return {
        "imageId": image["Id"],
        "repoDigest": next((digest for digest in digests if digest.startswith(repository)), digests[0]),
    }


def create(inputs: Properties, show: Screen) -> tuple[str, Properties]:
    """Pull the image unless it is present."""
    try:
        found = pulled(inputs["name"], show)
    except Failed as error:
        raise Failed(f"Unable to read Docker image into resource: {error}") from None
    return found["imageId"] + inputs["name"], {**inputs, **found}


def read(id_: str, outputs: Properties) -> Properties | None:
    """Look which image the name stands for now."""
    try:
        found = _found(outputs["name"])
    except ERRORS as error:
        raise Failed(f"unable to inspect image {outputs['name']}: {reason(error)}") from None
    return None if found is None else {**outputs, **found}


def update(id_: str, olds: Properties, news: Properties, show: Screen) -> Properties:
    """Take on how it is removed, and pull it again if it is gone."""
    return create(news, show)[1]


def delete(id_: str, outputs: Properties) -> None:
    """Remove the image unless it is to be kept."""
    if outputs.get("keepLocally"):
        return
    try:
        api().remove_image(outputs["name"], force=outputs.get("forceRemove", False))
    except ImageNotFound:
        pass
    except ERRORS as error:
        raise Failed(f"Unable to remove Docker image: {reason(error)}") from None


KIND = Kind(
    properties=frozenset({"name", "keepLocally", "forceRemove", "pullTriggers"}),
    replacing=replacing("docker:index/remoteImage:RemoteImage"),
    # Not even for a new pull trigger: the old one is removed after the new one was found, which is then gone
    # unless it is kept locally (the churn of pulumi-docker#325).
    delete_first=False,
    create=create,
    read=read,
    update=update,
    delete=delete,
)
