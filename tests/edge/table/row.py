"""A row of the table."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.edge.siege import Siege
from tests.edge.wire import Answer

OPEN = 1
"""The verdict on a connection that the edge should have ended, and did not."""
HTTP_BROKEN = (400, 0)
"""What breaks HTTP itself: HAProxy answers 400, or over HTTP/2 just ends the stream or the connection."""


@dataclass(frozen=True)
class Row:
    """One attack, or one thing that must go on working."""

    name: str
    how: Callable[[Siege], Answer | int]
    verdict: int | tuple[int, ...]
    """The status, CLOSED, or a number that the row tells itself."""
    passes: int | None = 0
    """How many requests of the row the witness may see; None where it is about something else."""
    alone: bool = False
    """Not beside others: it fills what all sources share."""

    slow: bool = False
    """It mostly waits."""

    @property
    def verdicts(self) -> tuple[int, ...]:
        """All that the edge may say."""
        return (self.verdict,) if isinstance(self.verdict, int) else self.verdict
