"""How many calls a run makes to GitHub, and how that grows with the repositories."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.hub import hub
from tests.repositories import Stack, empty_stack
from tests.unit.valid import REPOSITORIES

COUNTS = (4, 20, 50)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What one number of repositories costs."""

    repositories: int
    first: int
    """Calls of the `up` that makes all."""
    unchanged: int
    """Calls of an `up` with nothing to do."""
    refreshed: int
    """Calls of a `refresh` that finds nothing."""
    seconds: float
    """What the `up` with nothing to do took."""


def measure() -> list[Calls]:
    """Count with the real plugin and the lab's GitHub, a stack of its own for each number of repositories."""
    counted = []
    with tempfile.TemporaryDirectory() as folder, hub(Path(folder)) as running:
        for count in COUNTS:
            directory = Path(folder) / str(count)
            directory.mkdir()
            stack = empty_stack(directory, running.client)
            stack.choose(repositories=_repositories(count))
            first, _ = _calls(stack, "up", "--yes", "--skip-preview")
            unchanged, seconds = _calls(stack, "up", "--yes", "--skip-preview", "--expect-no-changes")
            refreshed, _ = _calls(stack, "refresh", "--yes", "--skip-preview", "--expect-no-changes")
            counted.append(
                Calls(repositories=count, first=first, unchanged=unchanged, refreshed=refreshed, seconds=seconds)
            )
    return counted


def table(counted: list[Calls]) -> str:
    """Return it in Markdown: the counts, and the line through them with how far they are from it."""
    lines = [
        "| repositories | calls of the first `up` | of a `refresh` | of an `up` with nothing to do | its seconds |"
    ]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {each.repositories} | {each.first} | {each.refreshed} | {each.unchanged} | {each.seconds:.1f} |"
        for each in counted
    ]
    numbers = [each.repositories for each in counted]
    fits = [_fit(numbers, [getattr(each, what) for each in counted]) for what in ("first", "refreshed", "unchanged")]
    lines.append(f"| line through them | {' | '.join(fits)} | |")
    return "\n".join(lines)


def _repositories(count: int) -> list[dict[str, Any]]:
    more = [{**REPOSITORIES[0], "name": f"service-{number}"} for number in range(count - len(REPOSITORIES))]
    return [*REPOSITORIES, *more]


def _calls(stack: Stack, *words: str) -> tuple[int, float]:
    """Return how many calls a command makes, which must succeed, and its seconds."""
    stack.github.forget_calls()
    began = time.monotonic()
    code, shown = stack.pulumi(*words)
    assert code == 0, shown
    return sum(stack.github.calls().values()), time.monotonic() - began


def _fit(numbers: list[int], calls: list[int]) -> str:
    """Return the line through the points, and the farthest point from it."""
    slope, intercept = statistics.linear_regression(numbers, calls)
    off = max(abs(each - (slope * number + intercept)) for number, each in zip(numbers, calls, strict=True))
    return f"{slope:.1f} each + {intercept:.0f}, off by {off:.0f} at most"
