"""The witness between the edge and Kestra: it sees every byte that the edge lets through, and hands it on unchanged.

The most direct proof that something did not reach Kestra: its log and executions tell only what it made of what came.
"""

import contextlib
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SOCKET = "kestra.sock"


_HEAD = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)+\r\n")


class Testimony:
    """What the edge let through, by connection."""

    def __init__(self, seen: list[bytes]) -> None:
        self.seen = seen
        # Large bodies are mostly blanks; looked through for hundreds of markers, they would take minutes.
        self._text = b"\n".join(re.sub(rb" {50,}", b" ", each) for each in seen)
        self._lower = self._text.lower()

    def has(self, text: str) -> bool:
        """Tell whether `text` came anywhere, in whatever case."""
        return text.lower().encode() in self._lower

    def requests(self, marker: str) -> list[bytes]:
        """Return the heads of the requests that bear the marker."""
        return [head for head in _HEAD.findall(self._text) if marker.encode() in head]


@dataclass
class Witness:
    """A relay from a socket in `directory` to `upstream`, which remembers what came."""

    directory: Path
    upstream: tuple[str, int]
    _seen: list[bytearray] = field(default_factory=list)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Relay until the end of the block."""
        witness = self

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                witness._relay(self.request)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 256

        path = self.directory / SOCKET
        with Server(str(path), Relay) as server:
            self.directory.chmod(0o755)
            path.chmod(0o666)  # HAProxy's user in the container is somebody else here
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
            yield
            server.shutdown()

    def _relay(self, edge: socket.socket) -> None:
        seen = bytearray()
        self._seen.append(seen)
        with contextlib.suppress(OSError), socket.create_connection(self.upstream) as kestra:
            threading.Thread(target=_pump, args=(kestra, edge), daemon=True).start()
            while data := edge.recv(1 << 18):
                seen += data
                kestra.sendall(data)
        with contextlib.suppress(OSError):
            edge.shutdown(socket.SHUT_RDWR)

    def testimony(self) -> "Testimony":
        """Return what was seen so far."""
        return Testimony([bytes(each) for each in list(self._seen)])

    def forget(self) -> None:
        """Drop what was seen: bodies of 25 MiB add up."""
        for each in list(self._seen):
            each.clear()


def _pump(kestra: socket.socket, edge: socket.socket) -> None:
    """Hand Kestra's answers back, to their end."""
    with contextlib.suppress(OSError):
        while data := kestra.recv(1 << 18):
            edge.sendall(data)
    with contextlib.suppress(OSError):
        edge.shutdown(socket.SHUT_WR)


class _Answers(BaseHTTPRequestHandler):
    """Kestra's manners in short: webhooks are taken, pages shown, and the API asks for a login."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
        flow = self.path.rpartition("/")[0].rpartition("/")[2]
        time.sleep({"hanging": 20.0, "slow": 0.7}.get(flow, 0.0))
        status = 500 if flow == "broken" else 200
        if self.path.startswith("/api/") and "/executions/webhook/" not in self.path:
            status = 200 if self.headers.get("Authorization") == "Basic cmlnaHQ6cmlnaHQ=" else 401
        shown = json.dumps({"path": self.path, "received": len(body)}).encode()
        self.send_response(status)
        self.send_header("Server", "in front of which the edge stands")
        self.send_header("Content-Length", str(len(shown)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(shown)

    do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def answering() -> Iterator[tuple[str, int]]:
    """Run what answers in Kestra's place, where only the edge is judged; yield its address."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: an attacker who hangs up is no error."""

    with Server(("127.0.0.1", 0), _Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
