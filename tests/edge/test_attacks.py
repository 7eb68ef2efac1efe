"""The table of attacks, done to the edge before the real Kestra: each has its verdict, and nothing reached Kestra."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.edge.conftest import Ground
from tests.edge.judge import Outcome, judge, logged
from tests.edge.kestra import FLOWS, executions, login
from tests.edge.siege import HOOKS
from tests.edge.table import ROWS
from tests.edge.table.row import Row
from tests.estate import Estate


@dataclass(frozen=True)
class Aftermath:
    """What is known after all attacks."""

    outcomes: dict[str, Outcome]
    log: str
    """What is wrong with the edge's log."""
    through: int
    """Deliveries that the witness saw on their way to flows that are there."""
    started: int
    """Executions that Kestra has of these flows."""


@pytest.fixture(scope="module")
def aftermath(before_kestra: Ground, desk: Estate) -> Iterator[Aftermath]:
    """Do all attacks."""
    given, witness = before_kestra.given, before_kestra.witness
    before = sum(executions(desk, flow) for flow in FLOWS)
    with before_kestra.doorstep() as step, before_kestra.edge(step) as name:
        done = judge(name, step, given, witness, login(desk))
        paths = tuple(HOOKS.replace("/target/", f"/{flow}/") + given.inner_key for flow in FLOWS)
        heads = witness.testimony().requests("GitHub-Hookshot/")
        yield Aftermath(
            outcomes={each.row.name: each for each in done},
            log=logged(name, given),
            through=sum(head.split()[1].partition(b"?")[0].decode().endswith(paths) for head in heads),
            started=sum(executions(desk, flow) for flow in FLOWS) - before,
        )
    witness.forget()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_edge_keeps_to_the_table(aftermath: Aftermath, row: Row) -> None:
    assert not aftermath.outcomes[row.name].wrong


def test_neither_key_nor_secret_is_in_the_log_whatever_was_asked(aftermath: Aftermath) -> None:
    assert not aftermath.log


def test_kestra_started_what_the_witness_saw_and_nothing_else(aftermath: Aftermath) -> None:
    assert aftermath.started == aftermath.through > 0
