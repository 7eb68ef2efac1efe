"""What `ci/step` calls: `python -m ci check|preview|up|drift`."""

import os
import sys
from collections.abc import Callable, Mapping

from ci import check, drift, preview, up
from ci.actions import Run, StepError

STEPS: Mapping[str, Callable[[Run], int]] = {
    "check": check.check,
    "preview": preview.preview,
    "up": up.up,
    "drift": drift.drift,
}


def main(words: list[str]) -> int:
    """Run one step; return the process's exit code."""
    if len(words) != 1 or words[0] not in STEPS:
        print(f"usage: ci/step {'|'.join(STEPS)}", file=sys.stderr)
        return 2
    run = Run.from_environment(os.environ)
    try:
        return STEPS[words[0]](run)
    except StepError as error:
        run.error(f"{words[0]} could not be done", str(error))
        return 1


sys.exit(main(sys.argv[1:]))
