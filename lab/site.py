"""The site that the deploy host serves, as its visitors see it."""

import datetime
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from lab.shell import LabError

PER_SECOND = 20


@dataclass(frozen=True)
class Visit:
    """One request, and what came of it."""

    when: datetime.datetime
    answer: str
    """The text, or why there is none."""
    failed: bool


def visit(url: str) -> Visit:
    """Ask once."""
    try:
        answer = httpx.get(url, trust_env=False, timeout=10)
    except httpx.HTTPError as error:
        text, failed = repr(error), True
    else:
        text, failed = answer.text.strip(), answer.is_error
    return Visit(datetime.datetime.now(datetime.UTC), text, failed)


@dataclass
class Watch:
    """What a visitor saw who comes again and again."""

    visits: list[Visit] = field(default_factory=list)

    @property
    def failed(self) -> list[Visit]:
        """Those that got no good answer."""
        return [each for each in self.visits if each.failed]

    def first(self, answer: str, seconds: float = 10) -> datetime.datetime:
        """Return when an answer was seen first; raises LabError when it has not been within `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for each in self.visits:
                if each.answer == answer:
                    return each.when
            time.sleep(0.05)
        last = self.visits[-1].answer if self.visits else "nothing"
        raise LabError(f"the site did not answer `{answer}` within {seconds:.0f} s, but `{last}`")


@contextmanager
def watched(url: str) -> Iterator[Watch]:
    """Visit the site again and again as long as the block runs."""
    watch, ended = Watch(), threading.Event()

    def visits() -> None:
        while not ended.wait(1 / PER_SECOND):
            watch.visits.append(visit(url))

    thread = threading.Thread(target=visits, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
