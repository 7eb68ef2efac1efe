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

from lab.cache import cached, key
from lab.paths import CACHE, ROOT
from lab.shell import LabError, run, say

VERSION = "3.259.0"
PLUGINS = {"docker": "5.1.0", "command": "1.2.1"}
SOURCES = ROOT / "lab/pulumi"
INSTALL_SECONDS = 60
REFUSAL_SECONDS = 86_400
"""How long a failed installation of a plugin is remembered."""


@dataclass(frozen=True)
class Toolchain:
    """What to add to the environment, and a line for each part that says where it comes from."""

    environment: dict[str, str]
    chosen: list[str]


def toolchain() -> Toolchain:
    """Return the toolchain, built or installed first where it is missing."""
    home = CACHE / "pulumi-home"
    environment = {
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        # What a stand-in's launcher runs: the code of this checkout, though the cache serves several.
        "CARICA_ROOT": str(ROOT),
        "CARICA_PYTHON": sys.executable,
    }
    official = _official()
    if official:
        chosen = [f"pulumi {official}: official, installed"]
    else:
        tools = cached(f"pulumi-{VERSION}", (VERSION, SOURCES / "go.mod", SOURCES / "go.sum"), _build)
        environment |= {
            "PATH": f"{tools}/bin:{os.environ['PATH']}",
            "CARICA_LANGUAGE_EXEC": str(tools / "bin/pulumi-language-python-exec"),
        }
        chosen = [f"pulumi {VERSION}: built from its Go module, with the lab's Python host"]
    for name, version in PLUGINS.items():
        chosen.append(f"plugin {name} {version}: {_plugin(name, version, home, environment)}")
    return Toolchain(environment, chosen)


def _official() -> str:
    """Return the version of an installed CLI that has its own Python host and is not older than the SDK."""
    cli = shutil.which("pulumi")
    if not cli or Path(cli).resolve().is_relative_to(CACHE) or not shutil.which("pulumi-language-python"):
        return ""
    shown = subprocess.run([cli, "version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.(\d+)", shown)
    if not found or tuple(map(int, found.groups())) < tuple(map(int, VERSION.split("."))):
        say(f"  the installed pulumi is {shown.strip() or 'unknown'}, older than {VERSION}: not used")
        return ""
    return shown.strip()


def _build(into: Path) -> None:
    """Build the CLI, and lay the SDK's own scripts and the lab's host beside it."""
    if not shutil.which("go"):
        raise LabError("no pulumi is installed, and building it takes Go 1.26: install either")
    bin_ = into / "bin"
    bin_.mkdir()
    env = {"GOFLAGS": "-mod=readonly", "GOCACHE": str(CACHE / "go-build"), "CGO_ENABLED": "0"}
    module = "github.com/pulumi/pulumi"
    flags = f"-s -w -X {module}/sdk/v3/go/common/version.Version=v{VERSION}"
    say(f"  building pulumi {VERSION} from its Go module: some minutes, once")
    run(
        "pulumi",
        ["go", "build", "-ldflags", flags, "-o", bin_ / "pulumi", f"{module}/pkg/v3/cmd/pulumi"],
        cwd=SOURCES,
        env=env,
    )
    shown = run("SDK module", ["go", "mod", "download", "-json", f"{module}/sdk/v3@v{VERSION}"], cwd=SOURCES, env=env)
    sdk = Path(json.loads(shown)["Dir"]) / "python"
    for script in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
        shutil.copy(sdk / script, bin_)
        (bin_ / Path(script).name).chmod(0o755)
    _launcher(bin_ / "pulumi-language-python", "lab.pulumi.language_host")


def _launcher(path: Path, module: str) -> None:
    path.write_text(f'#!/bin/sh\nPYTHONPATH="$CARICA_ROOT" exec "$CARICA_PYTHON" -m {module} "$@"\n')
    path.chmod(0o755)


def _plugin(name: str, version: str, home: Path, environment: dict[str, str]) -> str:
    """Put a plugin where the CLI looks for it; return where it comes from."""
    directory = home / "plugins" / f"resource-{name}-v{version}"
    launcher = directory / f"pulumi-resource-{name}"
    mine = Path.home() / ".pulumi/plugins" / directory.name
    if mine.is_dir():
        if not directory.is_symlink():
            shutil.rmtree(directory, ignore_errors=True)
            directory.parent.mkdir(parents=True, exist_ok=True)
            directory.symlink_to(mine)
        return "official, installed"
    if launcher.exists() and not _is_launcher(launcher):
        return "official, installed by the lab"
    refusal = CACHE / f"refused-{key(name, version)}"
    if not (refusal.exists() and time.time() - refusal.stat().st_mtime < REFUSAL_SECONDS):
        try:
            shutil.rmtree(directory, ignore_errors=True)
            command = ["pulumi", "plugin", "install", "resource", name, version]
            run(f"plugin {name}", command, env=environment, timeout=INSTALL_SECONDS)
            return "official, downloaded"
        except LabError:
            refusal.touch()
    directory.mkdir(parents=True, exist_ok=True)
    _launcher(launcher, f"lab.plugins.{name}")
    return f"the lab's stand-in (lab/plugins/{name})"


def _is_launcher(path: Path) -> bool:
    return path.read_bytes().startswith(b'#!/bin/sh\nPYTHONPATH="$CARICA_ROOT"')
