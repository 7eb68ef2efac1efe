"""What `docker build` needs for the Kestra image: its directory and the certificate authorities this machine trusts."""

import shutil
from pathlib import Path

from lab.cache import cached
from lab.paths import ROOT

SOURCE = ROOT / "lab" / "images" / "kestra"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
"""Debian's place for a machine's own authorities: Maven, inside the build, meets the same proxies as this machine."""


def context() -> Path:
    """Return the directory to build the image from."""
    inputs = [SOURCE, AUTHORITIES] if AUTHORITIES.is_dir() else [SOURCE]

    def fill(draft: Path) -> None:
        shutil.copytree(SOURCE, draft, dirs_exist_ok=True)
        (draft / "authorities").mkdir()
        for file in sorted(AUTHORITIES.rglob("*.crt")):
            shutil.copy(file, draft / "authorities" / file.name)

    return cached("kestra-context", tuple(inputs), fill)
