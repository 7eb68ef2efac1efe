"""A signed delivery that comes again."""

import contextlib
import threading
import time
from collections.abc import Callable

from tests.edge.siege import HOOKS, Siege
from tests.edge.table.row import Row
from tests.edge.wire import Answer, answer


def again(how: Callable[[Siege], Answer]) -> Callable[[Siege], int]:
    """Deliver, and deliver again in some way; return the second answer if it says that nothing was done."""

    def both(s: Siege) -> int:
        first, second = s.post(), how(s)
        assert first.status == 200, first
        return second.status if b"duplicate" in second.body or second.status != 200 else 1

    return both


def at_once(s: Siege) -> int:
    """Deliver six times at one moment; return how many were told that theirs was taken."""
    whole = s.request(path=hook(s, "slow"))
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(s.line.tls()) for _ in range(6)]
        for each in opened:
            each.sendall(whole[:-1])
        time.sleep(0.2)
        threads = [threading.Thread(target=each.sendall, args=(whole[-1:],)) for each in opened]
        for thread in threads:
            thread.start()
        said = [answer(each) for each in opened]
        for thread in threads:
            thread.join()
    assert {each.status for each in said} <= {200, 409}, said
    return sum(each.status == 200 and b"duplicate" not in each.body for each in said)


def hook(s: Siege, flow: str) -> str:
    """Return the hook of another flow."""
    return HOOKS.replace("target", flow) + s.given.key


def elsewhere(s: Siege) -> Answer:
    """To the hook of another flow."""
    return s.post(path=hook(s, "another"))


def after_a_hang_up(s: Siege) -> int:
    """Hang up before the answer, and deliver again: Kestra has taken it meanwhile."""
    with s.line.tls() as connection:
        connection.sendall(s.request(path=hook(s, "slow")))
        end = time.monotonic() + 5
        while not s.witness.testimony().has(s.marker) and time.monotonic() < end:
            time.sleep(0.05)
        connection.settimeout(0.2)
        with contextlib.suppress(OSError):
            connection.unwrap()  # says good-bye and does not wait for the other's
    time.sleep(1)
    second = s.post(path=hook(s, "slow"))
    return second.status if b"duplicate" in second.body else 1


def after_a_failure(s: Siege) -> int:
    """Deliver where Kestra fails, and again."""
    return max(s.post(path=hook(s, "broken")).status for _ in range(2))


ROWS = [
    Row("the same again", again(lambda s: s.post()), 200, passes=1),
    Row("the same as another delivery", again(lambda s: s.post("X-GitHub-Delivery: another")), 200, passes=1),
    Row("the same as another event", again(lambda s: s.post("X-GitHub-Event: push")), 200, passes=1),
    Row("the same with a query", again(lambda s: s.post(path=s.path + "?x=1")), 200, passes=1),
    Row("the same over HTTP/2", again(lambda s: s.frames()), 200, passes=1),
    Row("the same from another source", again(lambda s: s.elsewhere(31).post()), 200, passes=1),
    Row("the same to another flow", again(elsewhere), 200, passes=1),
    Row("the same after a hang-up", after_a_hang_up, 200, passes=1),
    Row("the same after Kestra failed", after_a_failure, (404, 500), passes=2),
    Row("the same many times at once", at_once, 1, passes=1, alone=True),
]
