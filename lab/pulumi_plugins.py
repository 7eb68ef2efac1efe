"""Pulumi's plugins: official ones where they are installed or can be had, the lab's otherwise."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from lab import go
from lab.cache import cached
from lab.paths import CACHE, ROOT
from lab.refusals import had
from lab.shell import run, say

VERSIONS = {"docker": "5.1.0", "command": "1.2.1", "github": "6.15.0"}
HOME = CACHE / "pulumi"
"""PULUMI_HOME: the user's own ~/.pulumi holds their log-ins and plugins, and is only read."""
INSTALL_SECONDS = 60
BRIDGE = ROOT / "lab/plugins/github"
BRIDGE_FLAGS = f"{go.STRIPPED} -X main.version={VERSIONS['github']}"

# It runs the code of the checkout at work, though the cache serves several. It sets no PYTHONPATH: what a plugin starts
# would inherit it.
STAND_IN = """#!/bin/sh
# The lab's stand-in for the official plugin (lab/pulumi_plugins.py).
exec "$CARICA_PYTHON" -P -c 'import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("lab.plugins.{name}", run_name="__main__", alter_sys=True)' "$CARICA_ROOT" "$@"
"""


def plugin(name: str, environment: Mapping[str, str]) -> str:
    """Put a plugin where the CLI looks for it; return where it comes from."""
    directory = HOME / "plugins" / f"resource-{name}-v{VERSIONS[name]}"
    program = directory / f"pulumi-resource-{name}"
    users = Path.home() / ".pulumi/plugins" / directory.name
    if users.is_dir():
        _lay(directory, users)
        return "official, installed"
    # What the lab lays there are links.
    if program.exists() and not program.is_symlink():
        return "official, downloaded by the lab"

    def install() -> None:
        shutil.rmtree(directory, ignore_errors=True)
        command = ["pulumi", "plugin", "install", "resource", name, VERSIONS[name]]
        run(f"plugin {name}", command, env=environment, timeout=INSTALL_SECONDS)

    if had("plugins", install):
        return "official, downloaded by the lab"
    if name == "github":
        inputs = (BRIDGE / "main.go", BRIDGE / "go.mod", BRIDGE / "go.sum", BRIDGE_FLAGS)
        _lay(directory, cached(f"plugin-{name}", inputs, _bridge))
        what = f"Terraform's provider, bridged by the lab (lab/plugins/{name})"
    else:
        text = STAND_IN.format(name=name)
        _lay(directory, cached(f"plugin-{name}", (text,), lambda into: launcher(into / program.name, text)))
        what = f"the lab's stand-in (lab/plugins/{name})"
    return f"{what}, as the official one could not be downloaded"


def launcher(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(text)
    path.chmod(0o755)


def _bridge(into: Path) -> None:
    say("  building the github plugin from its Go modules: about two minutes, once")
    go.build("building the github plugin", BRIDGE, ".", into / "pulumi-resource-github", BRIDGE_FLAGS)


def _lay(directory: Path, source: Path) -> None:
    """Make `directory` hold links to what is in `source`; the CLI would pass over a directory that is itself a link."""
    wanted = {each.name: each for each in source.iterdir()}
    if directory.is_dir() and wanted == {
        each.name: each.is_symlink() and each.readlink() for each in directory.iterdir()
    }:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, target in wanted.items():
        (directory / name).symlink_to(target)
