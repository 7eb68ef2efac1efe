"""Pulumi's CLI and Python host: official ones where they are installed, the lab's otherwise; and its plugins."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab import go, pulumi_plugins
from lab.cache import cached, lock
from lab.paths import CACHE, ROOT
from lab.pulumi_plugins import launcher
from lab.shell import run, say

VERSION = "3.259.0"
SOURCES = ROOT / "lab/pulumi"
MODULE = "github.com/pulumi/pulumi"
FLAGS = f"{go.STRIPPED} -X {MODULE}/sdk/v3/go/common/version.Version=v{VERSION}"

# It runs the code of the checkout at work, though the cache serves several. It sets no PYTHONPATH: what the host starts
# would inherit it.
HOST = """#!/bin/sh
# The lab's Python host (lab/toolchain.py). It stands beside the CLI, which warns of one found elsewhere on PATH.
exec "$CARICA_PYTHON" "$CARICA_ROOT/lab/pulumi/language_host.py" "$@"
"""


@dataclass(frozen=True)
class Toolchain:
    """What to add to the environment, and a line for each part that says where it comes from."""

    environment: dict[str, str]
    chosen: list[str]


def toolchain() -> Toolchain:
    """Return the toolchain, built or installed first where it is missing."""
    environment = {
        "PULUMI_HOME": str(pulumi_plugins.HOME),
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
    with lock("pulumi-plugins"):
        for name, version in pulumi_plugins.VERSIONS.items():
            chosen.append(f"plugin {name} {version}: {pulumi_plugins.plugin(name, environment)}")
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
    bin_ = into / "bin"
    bin_.mkdir()
    say(f"  building pulumi {VERSION} from its Go module: three to five minutes, once")
    go.build("building pulumi", SOURCES, f"{MODULE}/pkg/v3/cmd/pulumi", bin_ / "pulumi", FLAGS)
    download = ["go", "mod", "download", "-json", f"{MODULE}/sdk/v3@v{VERSION}"]
    shown = run("SDK module", download, cwd=SOURCES, env=go.ENVIRONMENT)
    sdk = Path(json.loads(shown)["Dir"]) / "python"
    for script in ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python"):
        launcher(bin_ / Path(script).name, (sdk / script).read_text())
    launcher(bin_ / "pulumi-language-python", HOST)
