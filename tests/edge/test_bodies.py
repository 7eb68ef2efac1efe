"""Signed bodies of all sizes, over HTTP/1.1 and HTTP/2: each is taken, and arrives whole."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.edge.conftest import Ground
from tests.edge.edge import Doorstep
from tests.edge.siege import Siege
from tests.edge.wire import Answer
from tests.estate import Estate

SIZES = {"2 kB": 2000, "15 kB": 15000, "60 kB": 60000, "300 kB": 300_000}
LARGEST = {"2 MB": 2_000_000, "25 MB": 25_000_000, "25 MiB": 26_214_400}
PROTOCOLS = ["HTTP/1.1", "HTTP/2"]


@contextmanager
def delivered(ground: Ground, step: Doorstep, size: int, protocol: str) -> Iterator[tuple[Answer, str]]:
    """Deliver a body of a size, which must come out whole behind the edge; yield the answer and the body's text."""
    # Nothing in it repeats: a piece that is lost, doubled or in another place would show.
    text = secrets.token_hex(size // 2)[: size - len('{"text": ""}')]
    body = json.dumps({"text": text}).encode()
    assert len(body) == size
    siege = replace(Siege(step, ground.given, 0, f"m{secrets.token_hex(8)}", "", ground.witness), body=body)
    answer = siege.post() if protocol == "HTTP/1.1" else siege.frames()
    assert answer.status == 200, answer
    assert any(body in seen for seen in ground.witness.testimony().seen)
    ground.witness.forget()
    yield answer, text


@pytest.fixture(scope="module")
def step(before_kestra: Ground) -> Iterator[Doorstep]:
    """A doorstep with an edge before Kestra."""
    with before_kestra.doorstep() as step, before_kestra.edge(step):
        yield step


@pytest.fixture(scope="module")
def other_step(before_nothing: Ground) -> Iterator[Doorstep]:
    """A doorstep with an edge before what only answers."""
    with before_nothing.doorstep() as step, before_nothing.edge(step):
        yield step


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", SIZES)
def test_kestra_is_started_with_the_whole_body(
    before_kestra: Ground, desk: Estate, step: Doorstep, size: str, protocol: str
) -> None:
    with delivered(before_kestra, step, SIZES[size], protocol) as (answer, text):
        execution = desk.desk.execution(json.loads(answer.body)["id"])
        assert execution["trigger"]["variables"]["body"] == {"text": text}


# What the lab's engine makes of triggers as large as these is its own affair: it takes seconds for one of 2 MB, and
# answers 500 to one of 25 MB.
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", LARGEST)
def test_the_largest_bodies_come_out_whole(
    before_nothing: Ground, other_step: Doorstep, size: str, protocol: str
) -> None:
    with delivered(before_nothing, other_step, LARGEST[size], protocol) as (answer, _):
        assert json.loads(answer.body)["received"] == LARGEST[size]
