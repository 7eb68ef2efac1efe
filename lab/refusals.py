"""A registry's `no`, remembered for a day: on a machine without it only the first `make up` of a day waits for it."""

import time
from collections.abc import Callable

from lab.paths import CACHE
from lab.shell import LabError

SECONDS = 86_400


def had(name: str, get: Callable[[], object]) -> bool:
    """Get something, unless that raised LabError within a day; return whether it was got."""
    refusal = CACHE / f"refused-{name}"
    if refusal.exists() and time.time() - refusal.stat().st_mtime < SECONDS:
        return False
    try:
        get()
    except LabError:
        refusal.touch()
        return False
    return True
