"""A lab's GitHub of its own for a test module, and somebody who listens to its deliveries."""

import json
import secrets
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab import github_host, keys
from lab.engine import engine
from lab.github import Client
from lab.image_builder import images
from lab.shell import run
from tests.estate import free_port

HOOK = "https://edge.example:8443/hook"
"""What hooks call: a name that the listener's certificate bears, and that no DNS knows."""
OTHER = "https://other.example:8443/hook"
"""The listener, under a name that its certificate does not bear."""

PROTECTED: dict[str, Any] = {
    "name": "main",
    "target": "branch",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "bypass_actors": [{"actor_id": None, "actor_type": "DeployKey", "bypass_mode": "always"}],
    "rules": [
        {"type": "deletion"},
        {"type": "non_fast_forward"},
        {
            "type": "pull_request",
            "parameters": {
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_approving_review_count": 0,
                "required_review_thread_resolution": False,
            },
        },
        {
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": False,
                "required_status_checks": [{"context": "check"}],
            },
        },
    ],
}
"""A ruleset for the default branch: pull requests with a check only."""


@dataclass
class Received:
    """One call that the listener has got."""

    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)


@dataclass
class Listener:
    """Notes what it is sent; answers as told."""

    port: int
    received: list[Received] = field(default_factory=list)
    status: int = 200
    delay: threading.Event | None = None


@dataclass
class Hub:
    """What tests hold of it."""

    name: str
    network: str
    port: int
    connect_to: str
    client: Client
    listener: Listener

    @property
    def git(self) -> str:
        """Return where its repositories are over HTTP."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Return where its SSH service is: no port of this machine leads there."""
        format_ = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return run("address", ["docker", "inspect", "--format", format_, self.name]).strip()

    def restart(self) -> None:
        """Stop the container, and start it again."""
        run("restart", ["docker", "restart", "--time", "10", self.name])
        github_host.wait(self.port)


@contextmanager
def _listener(certificate: Path, address: str) -> Iterator[Listener]:
    listener = Listener(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            listener.received.append(Received(dict(self.headers), body))
            if listener.delay:
                listener.delay.wait(60)
            self.send_response(listener.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    listener.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """Yield one that is empty; its deliveries to edge.example reach a listener on this machine."""
    engine()
    images({})
    name, network, port = f"carica-test-{secrets.token_hex(3)}", f"carica-test-{secrets.token_hex(3)}-lab", free_port()
    run("network", ["docker", "network", "create", network])
    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    address = run("network", ["docker", "network", "inspect", "--format", gateway, network]).strip()
    certificate = folder / "edge.pem"
    certificate.write_text(keys.new_certificate("edge.example"))
    try:
        with _listener(certificate, address) as listener:
            where = ",".join(f"{host}:8443={address}:{listener.port}" for host in ("edge.example", "other.example"))
            client = github_host.start(name, network, port, where)
            yield Hub(name, network, port, where, client, listener)
    finally:
        github_host.remove(name, network)


def git(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run git as a developer does; return all that it says, and fail when it does."""
    done = attempt(*words, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def attempt(
    *words: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git as a developer does."""
    identity = {f"GIT_{who}_{what}": f"dev{'@example.com' if what == 'EMAIL' else ''}"
                for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    home = {"HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["git", *words], cwd=cwd, env={**home, **identity, **(env or {})}, capture_output=True, text=True, check=False
    )
