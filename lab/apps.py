"""The team's applications, carica and carica-ml: small web servers, built and pushed as their workflows would."""

from lab import registry
from lab.image_builder import own
from lab.shell import run

BASE = own("app")
OWNER = "centaurin"
APPS = ("carica", "carica-ml")
GOOD, BROKEN, SICK = "good", "broken", "sick"
"""One that serves; one that ends at once; one that serves and never gets healthy."""


def image(name: str, port: int = registry.PORT) -> str:
    """Return the name of an application's image in the registry, without a tag."""
    return f"{registry.address(port)}/{OWNER}/{name}"


def build(name: str, version: str, variant: str = GOOD, port: int = registry.PORT) -> str:
    """Build a version of an application; return the reference."""
    reference = f"{image(name, port)}:{version}"
    given = {"NAME": name, "VERSION": version, "VARIANT": variant}
    arguments = [word for each in given.items() for word in ("--build-arg", "=".join(each))]
    run(
        f"image {reference}",
        ["docker", "build", "--tag", reference, "--label", registry.label(port), *arguments, "-"],
        env={"DOCKER_BUILDKIT": "0"},
        stdin=f"FROM {BASE}\n",
    )
    return reference


def publish(name: str, version: str, variant: str = GOOD, port: int = registry.PORT) -> str:
    """Build a version and push it; return the reference."""
    reference = build(name, version, variant, port)
    with registry.login(port) as env:
        run(f"push of {reference}", ["docker", "push", reference], env=env)
    return reference


def publish_first(port: int = registry.PORT) -> None:
    """Publish what the default branch of each is built to, unless it is there: the first deployment takes it."""
    for name in APPS:
        with registry.client(port) as api:
            # The media type that engines push.
            accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
            present = api.get(f"/v2/{OWNER}/{name}/manifests/main", headers=accept).is_success
        if not present:
            publish(name, "main", port=port)
