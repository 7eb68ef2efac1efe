"""Handshakes that Mozilla's intermediate profile does not have, and ports that are nobody's."""

import base64
import socket
import ssl
import subprocess
import warnings
from collections.abc import Callable

from tests.edge.edge import STATS_PASSWORD
from tests.edge.siege import Siege
from tests.edge.table.row import Row
from tests.edge.wire import CLOSED, Answer, answer


def greets(change: Callable[[ssl.SSLContext], None]) -> Callable[[Siege], int]:
    """Offer something in the handshake; return CLOSED if the edge takes none of it."""

    def how(s: Siege) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
            change(context)
        try:
            with context.wrap_socket(s.line.plain(), server_hostname="localhost"):
                return 200
        except OSError:
            return CLOSED

    return how


def version(which: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    """Offer one version of TLS."""

    def change(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = which

    return change


def cipher(name: str) -> Callable[[ssl.SSLContext], None]:
    """Offer one cipher suite of TLS 1.2."""

    def change(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{name}:@SECLEVEL=0")

    return change


def openssl(*words: str) -> Callable[[Siege], int]:
    """Shake hands as openssl's client does; return CLOSED if nothing was agreed on."""

    def how(s: Siege) -> int:
        where = f"{s.step.address}:{s.step.port(s.number)}"
        shaken = subprocess.run(
            ["openssl", "s_client", "-connect", where, "-servername", "localhost", *words],
            input=b"", capture_output=True, timeout=15, check=False,
        )  # fmt: skip
        return 200 if b"Cipher is (NONE)" not in shaken.stdout and b"Cipher is" in shaken.stdout else CLOSED

    return how


def ticket(s: Siege) -> int:
    """Return 200 if the edge hands out a ticket: whoever steals the key to those reads what was recorded before."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = (
        ssl.TLSVersion.TLSv1_2
    )  # 1.3 has them under the same name, and keeps what is in them itself
    with context.wrap_socket(s.line.plain(), server_hostname="localhost") as connection:
        return 200 if connection.session and connection.session.has_ticket else CLOSED


def inside(port: int) -> Callable[[Siege], int]:
    """Connect from the edge's network to one of its ports."""

    def how(s: Siege) -> int:
        try:
            with socket.create_connection((s.step.address, port), timeout=2):
                return 200
        except OSError:
            return CLOSED

    return how


def ask(s: Siege, port: int, path: str, *lines: str, body: str = "") -> Answer:
    """Ask one of the edge's ports that is not published."""
    head = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: x", "Connection: close", *lines]
    if body:
        head += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
    with socket.create_connection((s.step.address, port), timeout=5) as connection:
        connection.sendall("\r\n".join([*head, "", body]).encode())
        return answer(connection)


def statistics(*lines: str) -> Callable[[Siege], Answer]:
    """Ask for the page of statistics."""
    return lambda s: ask(s, 8405, "/", *lines)


def out_of_service(s: Siege) -> int:
    """Ask the page to take Kestra out of service; return 1 if it is not done."""
    done = ask(s, 8405, "/", f"Authorization: Basic {STATISTICS}", body="s=kestra&action=disable&b=kestra")
    return int("DONE" not in done.headers.get("location", ""))


STATISTICS = base64.b64encode(f"statistics:{STATS_PASSWORD}".encode()).decode()
ROWS = [
    Row("TLS 1.0", greets(version(ssl.TLSVersion.TLSv1)), CLOSED),
    Row("TLS 1.1", greets(version(ssl.TLSVersion.TLSv1_1)), CLOSED),
    Row("TLS 1.2", greets(version(ssl.TLSVersion.TLSv1_2)), 200),
    Row("TLS 1.3", greets(version(ssl.TLSVersion.TLSv1_3)), 200),
    *(
        Row(f"the suite {name}", greets(cipher(name)), CLOSED)
        for name in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-CAMELLIA128-SHA256")
    ),
    Row("the suite ECDHE-ECDSA-AES128-CCM8", greets(cipher("ECDHE-ECDSA-AES128-CCM8")), CLOSED),
    Row("the suite ECDHE-ECDSA-NULL-SHA", greets(cipher("ECDHE-ECDSA-NULL-SHA")), CLOSED),
    Row("the suite ECDHE-ECDSA-AES128-GCM-SHA256", greets(cipher("ECDHE-ECDSA-AES128-GCM-SHA256")), 200),
    Row("the suite TLS_AES_128_CCM_SHA256", openssl("-ciphersuites", "TLS_AES_128_CCM_SHA256"), CLOSED),
    Row("the suite TLS_AES_128_GCM_SHA256", openssl("-ciphersuites", "TLS_AES_128_GCM_SHA256"), 200),
    Row("the curve secp521r1", openssl("-groups", "secp521r1"), CLOSED),
    Row("the curve X25519", openssl("-groups", "X25519"), 200),
    Row("a session's ticket", ticket, CLOSED),
    Row("statistics without a password", statistics(), 401),
    Row("statistics with a wrong password", statistics("Authorization: Basic c3RhdGlzdGljczp3cm9uZw=="), 401),
    Row("statistics", statistics(f"Authorization: Basic {STATISTICS}"), 200),
    Row("a server put out of service", out_of_service, 1),
    Row("figures in the edge's network, if they are wanted", lambda s: ask(s, 9101, "/metrics"), 200),
    Row("something else beside the figures", lambda s: ask(s, 9101, "/"), 404),
    Row("health and figures from the network", inside(8404), CLOSED),
    Row("the table of deliveries from the network", inside(10000), CLOSED),
]
