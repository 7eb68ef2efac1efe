"""`ci/step check`: all that needs no secret, so that a fork's pull request gets it too."""

import subprocess
import sys
from collections.abc import Sequence

from ci.actions import Run

CHECKS: Sequence[Sequence[str]] = (
    ("make", "lint"),
    # One session: the flows' tests and those of the policies share a desk of their own.
    (sys.executable, "-m", "pytest", "tests/unit", "tests/flows", "tests/engine/test_policies.py"),
)


def check(run: Run) -> int:
    """Lint, check types, test rules, flows and policies; return 1 if one of them finds something."""
    failed = [
        " ".join(words) for words in CHECKS if subprocess.run(words, env=dict(run.environment), check=False).returncode
    ]
    for words in failed:
        run.error(f"{words} failed", "The reason is in the log.")
    return 1 if failed else 0
