"""The lab's own containers: one of a name, on the lab's network, with volumes that bear its name."""

from lab.shell import run

GIVEN = "carica.lab.given"
"""The label for a digest of what a container was given; one that was given something else is made anew."""


def join(network: str) -> None:
    """Make sure that the lab's network is there."""
    if network not in run("networks", ["docker", "network", "ls", "--format", "{{.Name}}"]).split():
        run("lab network", ["docker", "network", "create", network])


def stands(name: str, image: str, given: str = "") -> bool:
    """Tell whether a container of that name runs the newest `image`, and bears `given` as its label GIVEN.

    One that does not is removed; its volumes stay.
    """
    wanted = run("image", ["docker", "image", "inspect", "--format", "{{.Id}}", image]).strip()
    if not _known(name):
        return False
    format_ = f'{{{{.State.Running}}}} {{{{.Image}}}} {{{{index .Config.Labels "{GIVEN}"}}}}'
    if run("container", ["docker", "inspect", "--format", format_, name]).strip() == f"true {wanted} {given}".strip():
        return True
    run("old container", ["docker", "rm", "--force", name])
    return False


def remove(name: str, network: str) -> None:
    """Remove the container with its volumes, and the lab's network unless something else is on it."""
    if _known(name):
        run("container", ["docker", "rm", "--force", "--volumes", name])
    volumes = run("volumes", ["docker", "volume", "ls", "--quiet", "--filter", f"name=^{name}-"]).split()
    if volumes:
        run("volumes", ["docker", "volume", "rm", *volumes])
    if network in run("networks", ["docker", "network", "ls", "--format", "{{.Name}}"]).split():
        used = run("network", ["docker", "network", "inspect", "--format", "{{len .Containers}}", network]).strip()
        if used == "0":
            run("lab network", ["docker", "network", "rm", network])


def _known(name: str) -> bool:
    return bool(run("containers", ["docker", "ps", "--all", "--quiet", "--filter", f"name=^{name}$"]).strip())
