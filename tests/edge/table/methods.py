"""Kestra takes webhooks by GET and PUT as well; the edge takes POST."""

from collections.abc import Callable

from tests.edge.siege import HOOKS, Siege
from tests.edge.table.row import HTTP_BROKEN, Row
from tests.edge.wire import Answer


def by(method: str) -> Callable[[Siege], Answer]:
    """Deliver by another method."""
    return lambda s: s.post(method=method)


ROWS = [
    *(Row(f"{method} with a signature", by(method), 405) for method in ("GET", "PUT", "HEAD", "OPTIONS", "PATCH")),
    *(Row(f"{method} with a signature", by(method), 405) for method in ("DELETE", "TRACE", "post", "BREW")),
    Row("GET without a body", lambda s: s.get(s.path), 405),
    Row("GET that overrides its method", lambda s: s.get(s.path, "X-HTTP-Method-Override: POST"), 405),
    Row("TRACE of a page", lambda s: s.post(method="TRACE", path="/ui/", signed=False), 405),
    Row(
        "CONNECT to Kestra", lambda s: s.post(method="CONNECT", path="kestra:8080", host="kestra:8080"), (400, 405, 421)
    ),
    Row("CONNECT in the edge's name", lambda s: s.post(method="CONNECT", path="localhost:8443"), HTTP_BROKEN),
    Row("OPTIONS of everything", lambda s: s.post(method="OPTIONS", path="*", signed=False), (400, 404)),
    Row("a GET of the hook with Kestra's key", lambda s: s.get(HOOKS + s.given.inner_key), (404, 405)),
]
