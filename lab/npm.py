"""Packages of the npm registry: data that GitHub publishes about itself."""

from pathlib import Path

from lab.apt import packages
from lab.shell import run


def install(title: str, package: str, into: Path) -> None:
    """Lay `package`, as name@version, and what it needs below `into`/node_modules; none of it is run."""
    packages(npm="npm")
    run(title, ["npm", "install", "--prefix", into, "--no-audit", "--no-fund", "--ignore-scripts", package])
