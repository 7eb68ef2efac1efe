"""The edge alone: the real HAProxy with what the program gives it, before a Kestra that only tells what it is asked."""

import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import yaml

from components.job import JobProvider
from lab import edge_log, github, keys
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from lab.shell import run
from tests.estate import eventually, free_port
from tests.unit.program import plain, program
from tests.unit.recording import Declared
from tests.unit.test_components import containers, jobs

HOOK = "/api/v1/main/executions/webhook/prod/a_flow/"
KESTRA = """
cat > /tmp/events.sh <<'END'
read -r line
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n'
while :; do echo "data: tick"; echo; sleep 3; done
END
socat TCP-LISTEN:8081,fork,reuseaddr SYSTEM:'sh /tmp/events.sh' &
cat > /tmp/kestra.cfg <<'END'
global
    tune.bufsize.large 26738688
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend kestra
    bind :8080
    http-request return status 500 if { path_sub /broken/ }
    http-request pause 3s if { path_sub /slow/ }
    http-request pause 30s if { path_sub /hanging/ }
    acl guarded path_end /executions/search /slow/search
    http-request return status 401 if guarded !{ req.fhdr(authorization) "Basic right" }
    http-request return status 401 if { path /api/v1/login } !{ hdr(x-test) right }
    http-request return status 200 hdr content-security-policy "its own" if { path /ui/its-own-policy }
    http-request return status 200 content-type text/plain lf-string "%[req.hdrs]" if { path /ui/heads }
    http-request return status 200 content-type text/plain lf-string "%[pathq]" if !{ path_end /follow }
    default_backend events
backend events
    server events 127.0.0.1:8081
END
exec haproxy -db -f /tmp/kestra.cfg
"""


def docker(*words: str, stdin: str = "") -> str:
    """Run a docker command; return what it prints."""
    return run("docker", ["docker", *words], stdin=stdin)


def new_key() -> str:
    """Return a key as people make one."""
    return secrets.token_urlsafe(24)


def new_secret() -> str:
    """Return a secret as people make one."""
    return secrets.token_hex(32)


@dataclass
class Edge:
    """An edge that is taken from `configure` to `configure`, as a stack is from `up` to `up`."""

    name: str
    image: str
    port: int
    settings: dict[str, Any] = field(default_factory=dict)
    """What the stack chooses besides; changed by a test, it counts from the next `configure` on."""
    hook_addresses: list[str] = field(default_factory=list)
    """What GitHub says it sends webhooks from."""
    others: list[str] = field(default_factory=list)
    """Containers beside it."""

    def declared(self, key: str, secret: str) -> list[Declared]:
        """What the program declares."""
        changed = self.settings | {"webhookKey": key, "webhookSecret": secret, "haproxyImage": self.image}
        return program(hook_addresses=self.hook_addresses, **changed)

    def job(self, which: str, key: str, secret: str) -> dict[str, Any]:
        """What a job is given, on this edge's volumes."""
        given = jobs(self.declared(key, secret))[f"carica-test-haproxy-{which}"]
        volumes = {path: volume.replace("carica-test-haproxy", self.name) for path, volume in given["volumes"].items()}
        # A job removes what another one of its name has left: tests of two checkouts may run at the same time.
        return given | {"name": f"{self.name}-{which}", "image": self.image, "volumes": volumes}

    def configure(self, key: str, secret: str) -> None:
        """Run the configuration job for a key and a secret."""
        JobProvider().create(self.job("configuration", key, secret))

    def inside(self, script: str, *, user: str = "haproxy") -> str:
        """Run a script on the volumes."""
        volumes = [f"--volume={self.name}-{which}:{path}" for path, which in self.paths.items()]
        command = ["run", "--rm", "--interactive", "--network=none", f"--user={user}", *volumes]
        return docker(*command, "--entrypoint=sh", self.image, "-eu", stdin=script)

    def inside_its_network(self, script: str) -> str:
        """Run a script in a container beside it."""
        command = ["run", "--rm", f"--network={self.name}", "--entrypoint=sh", self.image, "-c", script]
        return docker(*command)

    paths = {"/usr/local/etc/haproxy": "configuration", "/var/lib/haproxy": "run"}  # noqa: RUF012

    def start(self) -> None:
        """Start HAProxy as the program does, and what stands for Kestra."""
        given = plain(containers(self.declared("k" * 24, "s" * 40))["carica-test-haproxy"])
        docker("network", "create", self.name)
        options = ["--detach", f"--network={self.name}"]
        self.others.append(f"{self.name}-kestra")
        docker("run", *options, f"--name={self.others[-1]}", "--network-alias=kestra", self.image, "sh", "-c", KESTRA)
        options += [f"--user={given['user']}", "--read-only", f"--publish=127.0.0.1:{self.port}:8443"]
        more = [port for port in given["ports"] if port["internal"] not in (8080, 8443)]
        options += [f"--publish={port['ip']}:{port['external']:.0f}:{port['internal']:.0f}" for port in more]
        options += [f"--volume={self.name}-{which}:{path}" for path, which in self.paths.items()]
        docker("run", *options, f"--name={self.name}", self.image, *given["command"])
        eventually(lambda: self.status("/") == 200)

    def reload(self, edit: str) -> None:
        """Edit the configuration on the volume by a sed script, and reload it."""
        script = f"sed -i '{edit}' /usr/local/etc/haproxy/haproxy.cfg\n"
        script += "echo reload | socat -t20 - UNIX-CONNECT:/var/lib/haproxy/master.sock"
        assert "Success=1" in self.inside(script)

    def let_the_hour_pass(self) -> None:
        """HAProxy's clock cannot be moved, so the limits are."""
        self.reload("s/_until int(1[0-9]*)/_until int(1)/")

    def forget(self) -> None:
        """Have the next `configure` remember nothing of what was in force before it, as the README tells to revoke."""
        self.inside("rm -f /usr/local/etc/haproxy/accepted")

    def forget_all_but_what_is_in_force(self) -> None:
        """Have the next `configure` remember that alone: so many rotations within an hour are refused otherwise."""
        self.inside("sed -i '/ 9999999999 /!d' /usr/local/etc/haproxy/accepted")

    def accepted(self) -> dict[str, list[tuple[str, int]]]:
        """What the edge takes: `key` and `secret` → value in HAProxy's words and seconds left, the newest first."""
        found: dict[str, list[tuple[str, int]]] = {"key": [], "secret": []}
        for line in self.inside("cat /usr/local/etc/haproxy/accepted").splitlines():
            what, until, value = line.split()
            found[what].append((value, int(until) - int(time.time())))
        return found

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Trusts the lab's CA."""
        return ssl.create_default_context(cadata=keys.ca_certificate())

    def client_at(self, port: int) -> httpx.Client:
        """A client without a connection kept open: GitHub makes a new one for each delivery."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(
            base_url=f"https://localhost:{port}", verify=self.trust, trust_env=False, limits=limits, timeout=20
        )

    @cached_property
    def client(self) -> httpx.Client:
        """A client at the published port."""
        return self.client_at(self.port)

    def elsewhere(self) -> "Elsewhere":
        """Another source: a container that passes on what comes to a port of its own."""
        name, port = f"{self.name}-source{len(self.others)}", free_port()
        self.others.append(name)
        options = ["--detach", f"--name={name}", f"--network={self.name}", f"--publish=127.0.0.1:{port}:9000"]
        docker(
            "run", *options, self.image, "socat", "TCP-LISTEN:9000,fork,reuseaddr,backlog=500", f"TCP:{self.name}:8443"
        )
        address = docker("inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name).strip()
        client = self.client_at(port)
        eventually(lambda: self.status("/", client) == 200)
        return Elsewhere(address, port, client)

    def status(self, path: str, client: httpx.Client | None = None) -> int:
        """Return the answer's status, 0 for a connection that is just closed."""
        try:
            return (client or self.client).get(path).status_code
        except httpx.TransportError:
            return 0

    def deliver(
        self, key: str, secret: str, body: bytes | None = None, hook: str = HOOK, client: httpx.Client | None = None
    ) -> httpx.Response:
        """Send a signed body, one never seen before unless it is given."""
        body = body or json.dumps({"id": secrets.token_hex(8)}).encode()
        return (client or self.client).post(
            hook + key, content=body, headers={"X-Hub-Signature-256": github.signature(secret, body)}
        )

    def plain(self, port: int | None = None) -> socket.socket:
        """Return a connection on which nothing was said yet."""
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=20)

    @contextmanager
    def announced(self, source: str) -> Iterator[ssl.SSLSocket]:
        """Yield a connection that the PROXY protocol says to be from an IPv6 `source`."""
        with self.plain() as plain_:
            plain_.sendall(f"PROXY TCP6 {source} 2001:db8::1 1024 8443\r\n".encode())
            with self.trust.wrap_socket(plain_, server_hostname="localhost") as connection:
                yield connection

    @contextmanager
    def connected(self, port: int | None = None, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
        """Yield a connection for bytes that no client library would send."""
        with (
            self.plain(port) as plain_,
            self.trust.wrap_socket(plain_, server_hostname=name) as connection,
        ):
            yield connection

    def raw(self, request: bytes, port: int | None = None) -> int:
        """Send a request as it stands; return the answer's status, 0 for a connection that is just closed."""
        with self.connected(port) as connection:
            connection.sendall(request)
            answer = connection.recv(64)
            return int(answer.split()[1]) if answer else 0

    def requests(self) -> list[dict[str, Any]]:
        """Return what the log tells of requests."""
        return edge_log.entries(self.log())

    def log(self) -> str:
        shown = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True)
        return shown.stdout + shown.stderr


@dataclass(frozen=True)
class Elsewhere:
    """Another source that the edge is reached from."""

    address: str
    """As the edge sees it."""
    port: int
    client: httpx.Client


@contextmanager
def new_edge() -> Iterator[Edge]:
    """Yield an edge that never was configured."""
    image = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["carica-kestra:haproxyImage"]
    engine()
    images({"haproxy": image})
    name = f"carica-edge{secrets.token_hex(3)}"
    for which in Edge.paths.values():
        docker("volume", "create", f"{name}-{which}")
    edge = Edge(name, image, free_port())
    JobProvider().create(edge.job("owner", new_key(), new_secret()))
    try:
        yield edge
    finally:
        docker("rm", "--force", "--volumes", name, *edge.others)
        docker("volume", "rm", *(f"{name}-{which}" for which in Edge.paths.values()))
        docker("network", "rm", name)
