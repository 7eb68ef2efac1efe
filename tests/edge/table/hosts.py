"""Names that are not the edge's."""

from tests.edge.siege import Siege
from tests.edge.table.row import HTTP_BROKEN, Row
from tests.edge.wire import CLOSED, Answer, answer

EVIL = "evil.example"


def by(s: Siege, name: str | None, host: str = "localhost") -> int:
    """Greet the edge by a name in the TLS handshake, and ask for a host."""
    return s.line.h1(s.request(host=host), name=name).status


def in_the_clear(s: Siege) -> Answer:
    """Deliver without TLS."""
    with s.line.plain() as connection:
        connection.sendall(s.request())
        return answer(connection)


ROWS = [
    Row("another host", lambda s: s.post(host=EVIL), 421),
    Row("another host for a page", lambda s: s.get(host=EVIL), 421),
    Row("another host with a port", lambda s: s.post(host=f"{EVIL}:8443"), 421),
    Row("a host with the right name before it", lambda s: s.post(host=f"localhost.{EVIL}"), 421),
    Row("a host with the right name behind it", lambda s: s.post(host="evillocalhost"), 421),
    Row("a host by address", lambda s: s.post(host="127.0.0.1"), 421),
    Row("a host with a user", lambda s: s.post(host=f"localhost@{EVIL}"), (400, 421)),
    Row("a host with a path", lambda s: s.post(host=f"localhost/{EVIL}"), (400, 421)),
    Row("a host with a comma", lambda s: s.post(host=f"localhost,{EVIL}"), (400, 421)),
    Row("a host with a blank", lambda s: s.post(host=f"localhost {EVIL}"), (400, 421)),
    Row("an empty host", lambda s: s.post(host=""), (400, 421)),
    Row("no host", lambda s: s.post(host=None), (400, 421)),
    Row("two hosts", lambda s: s.post(f"Host: {EVIL}"), (0, 400, 421)),
    Row("the right host twice", lambda s: s.post("Host: localhost", f"Host: {EVIL}", host=None), (0, 400, 421)),
    Row("an address of another host", lambda s: s.post(path=f"https://{EVIL}{s.path}"), (0, 400, 421)),
    Row("an address of Kestra", lambda s: s.post(path=f"http://kestra:8080{s.path}"), (0, 400, 421)),
    Row("an address with a user", lambda s: s.post(path=f"https://localhost@{EVIL}{s.path}"), (0, 400, 421)),
    Row(
        "an address here and another host",
        lambda s: s.post(path=f"https://localhost{s.path}", host=EVIL),
        (0, 400, 421),
    ),
    Row("another name in the handshake", lambda s: by(s, EVIL), CLOSED),
    Row("no name in the handshake", lambda s: by(s, None), CLOSED),
    Row("another name in both", lambda s: by(s, EVIL, EVIL), CLOSED),
    Row("the right name and another host", lambda s: by(s, "localhost", EVIL), 421),
    Row("plain HTTP on the TLS port", lambda s: in_the_clear(s), HTTP_BROKEN),
]
