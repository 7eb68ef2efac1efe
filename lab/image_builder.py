"""The images a stack names: official ones where they can be had, the lab's stand-ins under the same names otherwise."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.apt import packages
from lab.cache import cached, key, lock
from lab.paths import ROOT
from lab.refusals import had
from lab.shell import LabError, run, say

IMAGES = ROOT / "lab/images"
SUITE = "trixie"
LABEL = "carica.lab"
PULL_SECONDS = 600


def images(wanted: Mapping[str, str]) -> list[str]:
    """Make the images present under their official references; return a line for each that says what it is.

    `wanted` maps the directory of the stand-in in lab/images to the reference that the stack pins.
    """
    with lock("images"):
        lines = [_ready(part, reference) for part, reference in wanted.items()]
        for part in ("github", "deploy-host", "registry", "app"):
            _build(part, own(part))
    return lines


def own(part: str) -> str:
    """Return the reference of an image that stands for none, by its content: checkouts on one machine share a name."""
    return f"carica-lab/{part}:{key(IMAGES / part, IMAGES / 'base')}"


def _ready(part: str, reference: str) -> str:
    label = _label(reference)
    if label == "":
        return f"{reference}: official, present"
    # Asked for while the stand-in bears the name too: the official image wins as soon as it can be had.
    if _pull(reference):
        return f"{reference}: official, pulled"
    _build(part, reference)
    return f"{reference}: the lab's stand-in (lab/images/{part})"


def _label(reference: str) -> str | None:
    """Return the lab's label on an image, empty on anyone else's, None when there is no such image."""
    shown = subprocess.run(["docker", "image", "inspect", reference], capture_output=True, text=True, check=False)
    if shown.returncode:
        return None
    return str((json.loads(shown.stdout)[0]["Config"]["Labels"] or {}).get(LABEL, ""))


def _pull(reference: str) -> bool:
    command = ["docker", "pull", "--quiet", reference]
    return had(key(reference), lambda: run(f"pulling {reference}", command, timeout=PULL_SECONDS))


def _build(part: str, reference: str) -> None:
    """Build the stand-in unless an image of the same content bears the reference."""
    # Kestra's context holds jars that Maven brings, GitHub's what it publishes of itself.
    if part == "kestra":
        from lab.kestra_build import context as kestra_context

        context = kestra_context()
    elif part == "github":
        from lab.github_build import context as github_context

        context = github_context()
    else:
        context = IMAGES / part
    content = key(context, IMAGES / "base")
    if _label(reference) == content:
        return
    _base()
    command = ["docker", "build", "--network", "host", "--label", f"{LABEL}={content}", "--tag", reference]
    arguments = ["--build-arg", f"MIRROR={_mirror()}"] if part == "haproxy" else []
    say(f"  building the stand-in of {reference}")
    run(f"image {part}", [*command, "--tag", f"carica-lab/{part}", *arguments, context], env={"DOCKER_BUILDKIT": "0"})


def _base() -> None:
    """Make carica-lab/base, Debian's smallest system, which the stand-ins are built on."""
    content = key(IMAGES / "base", SUITE)
    if _label("carica-lab/base") == content:
        return
    root = cached(f"rootfs-{SUITE}", (SUITE, "1"), _debootstrap) / "rootfs.tar"
    run("root file system", ["docker", "import", root, "carica-lab/rootfs"])
    run(
        "image base",
        [
            "docker",
            "build",
            "--network",
            "host",
            "--label",
            f"{LABEL}={content}",
            "--tag",
            "carica-lab/base",
            IMAGES / "base",
        ],
        env={"DOCKER_BUILDKIT": "0"},
    )


def _debootstrap(into: Path) -> None:
    if os.geteuid() != 0:
        raise LabError("building images without a registry takes debootstrap, and that takes root: run this as root")
    packages(debootstrap="debootstrap")
    system = into / "system"
    run(
        f"Debian {SUITE}",
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, system, _mirror()],
    )
    run("root file system", ["tar", "-C", system, "-cf", into / "rootfs.tar", "."])
    run("clean-up", ["rm", "-rf", "--one-file-system", system])


def _mirror() -> str:
    """Return the mirror of Debian that this machine itself installs from."""
    shown = run(
        "package sources",
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"],
    )
    for line in shown.splitlines():
        origin, label, component, uri = line.split("|")
        if (origin, label, component) == ("Debian", "Debian", "main"):
            return uri
    raise LabError("no image registry can be reached, and this machine does not install from a mirror of Debian either")
