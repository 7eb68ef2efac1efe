"""`make bench-test`: wall time of `make test` in a fresh clone; with COLD=1, with an empty CARICA_CACHE too."""

import os
import sys
import tempfile
import time
from pathlib import Path

from lab.paths import CACHE, ROOT
from lab.shell import LabError, follow, run, say


def main() -> int:
    """Return the process's exit code; a suite that fails has no time."""
    cold = bool(os.environ.get("COLD"))
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        load = os.getloadavg()[0]
        try:
            run("clone", ["git", "clone", "--quiet", ROOT, clone])
            began = time.monotonic()
            follow(["make", "test"], cwd=clone, env={"CARICA_CACHE": f"{folder}/cache" if cold else str(CACHE)})
        except LabError as error:
            say(f"\n{error}")
            return 1
        seconds = time.monotonic() - began
    # What Debian, Go and the Docker engine keep is theirs, and stays.
    cache = "an empty cache (images and packages of the machine as they were)" if cold else "a warm cache"
    print(f"`make test` in a fresh clone with {cache}: {seconds / 60:.1f} min (load before {load:.1f})")
    return 0


sys.exit(main())
