"""Do what the table says to one edge, and say where it did not keep to it."""

import json
import secrets
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab import edge_log
from tests.edge.edge import Doorstep, Rendered, log
from tests.edge.siege import FREE, Siege
from tests.edge.table import ROWS
from tests.edge.table.row import Row
from tests.edge.wire import Answer
from tests.edge.witness import Testimony, Witness

BESIDE = 4
"""Quick rows that are done at the same time: with the slow ones, fewer than the bodies that the edge holds at once."""
RIGHT_LOGIN = "Basic cmlnaHQ6cmlnaHQ="


@dataclass(frozen=True)
class Outcome:
    """What came of a row; `wrong` is empty when the edge kept to it."""

    row: Row
    said: int | str
    seconds: float
    passed: int
    wrong: str


def judge(
    edge: str, step: Doorstep, given: Rendered, witness: Witness, login: str = RIGHT_LOGIN, rows: Iterable[Row] = ROWS
) -> list[Outcome]:
    """Do all rows to an edge; those that can be at once."""
    sieges = [
        (row, Siege(step, given, number, f"m{secrets.token_hex(8)}", login, witness)) for number, row in enumerate(rows)
    ]
    assert len(sieges) <= FREE, "more rows than sources"
    with ThreadPoolExecutor(BESIDE) as quick, ThreadPoolExecutor(20) as slow:
        begun = [(each, (slow if each[0].slow else quick).submit(_do, *each)) for each in sieges if not each[0].alone]
        done = [(each, doing.result()) for each, doing in begun]
    done += [(each, _do(*each)) for each in sieges if each[0].alone]
    # Looked at when all is done: what got through late has got through.
    testimony = witness.testimony()
    return [_outcome(testimony, row, siege, *said) for (row, siege), said in done]


def _do(row: Row, siege: Siege) -> tuple[int | str, float]:
    began = time.monotonic()
    said: int | str
    try:
        came = row.how(siege)
        said = came.status if isinstance(came, Answer) else came
    except (AssertionError, OSError, ValueError) as failed:
        said = f"{type(failed).__name__}: {failed}"[:200]
    return said, time.monotonic() - began


def _outcome(testimony: Testimony, row: Row, siege: Siege, said: int | str, seconds: float) -> Outcome:
    passed, wrong = len(testimony.requests(siege.marker)), ""
    if said not in row.verdicts:
        wrong = f"said {said}, not {row.verdict}"
    elif row.passes == 0 and testimony.has(siege.marker):
        wrong = "something of it reached Kestra"
    elif row.passes is not None and row.passes and passed != row.passes:
        wrong = f"{passed} reached Kestra, not {row.passes}"
    return Outcome(row, said, seconds, passed, wrong)


def logged(edge: str, given: Rendered) -> str:
    """Say what is wrong with the log of an edge that was attacked; nothing when nothing is."""
    shown = log(edge)
    for what, value in (("key", given.key), ("own key", given.inner_key), ("secret", given.secret)):
        if value.lower() in shown.lower():
            return f"the {what} is in it"
    try:
        entries = edge_log.entries(shown)
    except json.JSONDecodeError as broken:
        return f"a line is no JSON: {broken.doc[:200]}"
    return "" if entries else "it is empty"
