"""Pulumi's CLI, Python host and plugins: official ones where they are installed or can be had, the lab's otherwise."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cached, lock
from lab.paths import CACHE, ROOT
from lab.shell import LabError, run, say

VERSION = "3.259.0"
PLUGINS = {"docker": "5.1.0", "command": "1.2.1"}
SOURCES = ROOT / "lab/pulumi"
GO = (1, 26)
"""What the CLI's module asks for (lab/pulumi/go.mod)."""
MODULE = "github.com/pulumi/pulumi"
FLAGS = f"-s -w -X {MODULE}/sdk/v3/go/common/version.Version=v{VERSION}"
HOME = CACHE / "pulumi-home"
"""PULUMI_HOME: the user's own ~/.pulumi holds their log-ins and plugins, and is only read."""
REFUSED = CACHE / "plugins-refused"
"""Its time is when plugins could last not be downloaded."""
REFUSAL_SECONDS = 86_400
"""How long that is remembered, so that only the first `make up` of a day waits for it."""
INSTALL_SECONDS = 60

# Launchers run the code of the checkout at work, though the cache serves several. They set no PYTHONPATH: what a host
# or plugin starts would inherit it.
HOST = """#!/bin/sh
# The lab's Python host (lab/toolchain.py). It stands beside the CLI, which warns of one found elsewhere on PATH.
exec "$CARICA_PYTHON" "$CARICA_ROOT/lab/pulumi/language_host.py" "$@"
"""
PLUGIN = """#!/bin/sh
# The lab's stand-in for the official plugin (lab/toolchain.py).
exec "$CARICA_PYTHON" -P -c 'import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("lab.plugins.{name}", run_name="__main__", alter_sys=True)' "$CARICA_ROOT" "$@"
"""


@dataclass(frozen=True)
class Toolchain:
    """What to add to the environment, and a line for each part that says where it comes from."""

    environment: dict[str, str]
    chosen: list[str]


def toolchain() -> Toolchain:
    """Return the toolchain, built or installed first where it is missing."""
    environment = {
        "PULUMI_HOME": str(HOME),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "CARICA_ROOT": str(ROOT),
        "CARICA_PYTHON": sys.executable,
    }
    if official := _official():
        chosen = [f"pulumi {official} and its Python host: official, installed"]
    else:
        tools = cached(f"pulumi-{VERSION}", (FLAGS, HOST, SOURCES / "go.mod", SOURCES / "go.sum"), _build)
        environment["PATH"] = f"{tools / 'bin'}:{os.environ['PATH']}"
        chosen = [
            f"pulumi {VERSION}: official code, built from its Go module, as no CLI of that version is installed",
            "Python host: the lab's (lab/pulumi), as no registry serves the official one",
        ]
    with lock("pulumi-home"):
        chosen += [f"plugin {name} {version}: {_plugin(name, environment)}" for name, version in PLUGINS.items()]
    return Toolchain(environment, chosen)


def _official() -> str:
    """Return the version of an installed CLI that has its own Python host and is not older than the SDK."""
    cli = shutil.which("pulumi")
    # One that is on PATH because of `make env` is the lab's.
    if not cli or Path(cli).resolve().is_relative_to(CACHE):
        return ""
    shown = subprocess.run([cli, "version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"v(\d+)\.(\d+)\.(\d+)", shown)
    if not found or tuple(map(int, found.groups())) < tuple(map(int, VERSION.split("."))):
        say(f"  {cli} is {shown or 'of unknown version'}, older than {VERSION}: not used")
        return ""
    host = "pulumi-language-python"
    if not (Path(cli).resolve().with_name(host).exists() or shutil.which(host)):
        say(f"  {cli} comes without {host}: not used")
        return ""
    return shown


def _build(into: Path) -> None:
    """Build the CLI, and lay the SDK's own scripts and the lab's host beside it."""
    _want_go()
    bin_ = into / "bin"
    bin_.mkdir()
    # The build cache is kept with ours, so that a machine that kept only this directory rebuilds within a minute. The
    # modules stay where Go keeps them: once the CLI is built nothing reads them, and other projects share them there.
    env = {"GOFLAGS": "-mod=readonly", "GOCACHE": str(CACHE / "go-build"), "CGO_ENABLED": "0"}
    say(f"  building pulumi {VERSION} from its Go module: three to five minutes, once")
    run(
        "building pulumi",
        ["go", "build", "-ldflags", FLAGS, "-o", bin_ / "pulumi", f"{MODULE}/pkg/v3/cmd/pulumi"],
        cwd=SOURCES,
        env=env,
    )
    shown = run("SDK module", ["go", "mod", "download", "-json", f"{MODULE}/sdk/v3@v{VERSION}"], cwd=SOURCES, env=env)
    sdk = Path(json.loads(shown)["Dir"]) / "python"
    for script in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
        _program(bin_ / Path(script).name, (sdk / script).read_text())
    _program(bin_ / "pulumi-language-python", HOST)


def _want_go() -> None:
    """Raise LabError, with the ways out, unless there is a Go that builds the CLI."""
    wanted = ".".join(map(str, GO))
    shown = ""
    if shutil.which("go"):
        # Asked in the module's directory: a Go that may fetch the version a module names has done so then.
        shown = subprocess.run(
            ["go", "env", "GOVERSION"], cwd=SOURCES, capture_output=True, text=True, check=False
        ).stdout.strip()
        found = re.match(r"go(\d+)\.(\d+)", shown)
        if found and tuple(map(int, found.groups())) >= GO:
            return
    raise LabError(
        f"pulumi is not installed, and building it takes Go {wanted}; this machine has {shown or 'no such Go'}. "
        f"Install pulumi {VERSION} or later, or the package golang-{wanted}-go; "
        f"a Go from 1.21 on gets itself the right one with GOTOOLCHAIN=go{wanted}.0+auto"
    )


def _plugin(name: str, environment: dict[str, str]) -> str:
    """Put a plugin where the CLI looks for it; return where it comes from."""
    directory = HOME / "plugins" / f"resource-{name}-v{PLUGINS[name]}"
    launcher = directory / f"pulumi-resource-{name}"
    users = Path.home() / ".pulumi/plugins" / directory.name
    if users.is_dir():
        if not directory.is_symlink():
            _clear(directory)
            directory.symlink_to(users)
        return "official, installed"
    if launcher.exists() and b"CARICA_ROOT" not in launcher.read_bytes():
        return "official, downloaded by the lab"
    if not (REFUSED.exists() and time.time() - REFUSED.stat().st_mtime < REFUSAL_SECONDS):
        _clear(directory)
        command = ["pulumi", "plugin", "install", "resource", name, PLUGINS[name]]
        try:
            run(f"plugin {name}", command, env=environment, timeout=INSTALL_SECONDS)
            return "official, downloaded by the lab"
        except LabError:
            REFUSED.touch()
    wanted = PLUGIN.format(name=name)
    if not launcher.exists() or launcher.read_text() != wanted:
        _clear(directory)
        directory.mkdir()
        _program(launcher, wanted)
    return f"the lab's stand-in (lab/plugins/{name}), as the official one could not be downloaded"


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _clear(directory: Path) -> None:
    """Make way for a plugin."""
    if directory.is_symlink():
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
