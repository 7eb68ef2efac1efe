"""Each security rule of the edge is broken in turn, and a row of the table notices.

`pytest -s tests/edge/test_mutations.py` prints killed or alive for each.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from queue import Queue

import pytest

from tests.edge.conftest import Ground
from tests.edge.edge import Doorstep
from tests.edge.judge import judge, logged
from tests.edge.mutations import EXEMPT, MUTATIONS, THE_LOG, Mutation
from tests.edge.siege import planted
from tests.edge.table import ROWS

BESIDE = 4
"""Edges that run at the same time: most of the longer ones wait for a limit of seconds."""
BY_NAME = {row.name: row for row in ROWS}
PATHS = [row for row in ROWS if row.name.startswith("a path with") or row.name == "a signed delivery"]
RULE = re.compile(
    r"(tcp|http)-(request|response|after-response)|acl|use_backend|timeout|option|no option|bind|tune|ssl-|peer |"
    r"stick-table|\.if|\.alert|server|maxconn"
)


def noticed(ground: Ground, step: Doorstep, mutation: Mutation) -> dict[str, str]:
    """Run an edge with a rule broken; return what the rows that are asked say about it."""
    rows = [BY_NAME[name] for name in mutation.rows if name != THE_LOG]
    with ground.edge(step, mutation.applied(planted(ground.given.text))) as name:
        said = judge(name, step, ground.given, ground.witness, rows=rows or PATHS)
        if THE_LOG in mutation.rows:
            # The last lines come a moment after the answers. That it is empty or broken is no leak.
            end = time.monotonic() + 5
            while not (wrong := logged(name, ground.given)).startswith("the ") and time.monotonic() < end:
                time.sleep(0.2)
            return {THE_LOG: wrong} if wrong.startswith("the ") else {}
        return {each.row.name: each.wrong for each in said if each.wrong}


def noticed_twice(ground: Ground, step: Doorstep, mutation: Mutation) -> dict[str, str]:
    """Return what rows say that notice it again, on another edge: once may be by chance, on a busy machine."""
    said = noticed(ground, step, mutation)
    return noticed(ground, step, replace(mutation, rows=tuple(said))) if said else {}


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, before_nothing: Ground) -> Iterator[dict[str, Future[dict[str, str]]]]:
    """What is noticed of each mutation, found out for several at a time."""
    with ExitStack() as stack:
        steps: Queue[Doorstep] = Queue()
        for _ in range(BESIDE):
            steps.put(stack.enter_context(before_nothing.doorstep()))

        def one(mutation: Mutation) -> dict[str, str]:
            step = steps.get()
            try:
                return noticed_twice(before_nothing, step, mutation)
            finally:
                steps.put(step)

        with ThreadPoolExecutor(BESIDE) as pool:
            wanted = {each.callspec.id for each in request.session.items if hasattr(each, "callspec")}  # what -k leaves
            yield {each.name: pool.submit(one, each) for each in MUTATIONS if each.name in wanted}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_noticed(verdicts: dict[str, Future[dict[str, str]]], mutation: Mutation) -> None:
    said = verdicts[mutation.name].result()
    print(f"{'killed' if said else 'alive '}  {mutation.name}  {str(said)[:150]}")
    assert said, "alive: no row noticed"


def test_of_the_whole_configuration_nothing_is_noticed(before_nothing: Ground) -> None:
    """What a mutation's rows notice is the broken rule, then."""
    rows = tuple(sorted({name for mutation in MUTATIONS for name in mutation.rows if name != THE_LOG}))
    with before_nothing.doorstep() as step:
        for asked in (rows, (THE_LOG,)):
            assert noticed(before_nothing, step, Mutation("nothing", (), asked)) == {}


def test_every_rule_is_broken_by_a_mutation_or_exempt_for_a_reason(before_nothing: Ground) -> None:
    text = before_nothing.given.text
    rules = {line.strip() for line in text.splitlines() if RULE.match(line.strip())}
    for mutation in MUTATIONS:
        rules -= rules - {line.strip() for line in mutation.applied(planted(text)).splitlines()}
    unbroken = {rule for rule in rules if not any(re.search(pattern, rule) for pattern in EXEMPT)}
    assert not unbroken
