"""The edge with a certificate that HAProxy orders: the real HAProxy, and pebble, Let's Encrypt's CA for tests."""

import json
import re
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from components.job import JobError, JobProvider
from lab import go, keys, stack
from lab.cache import cached
from lab.engine import engine
from lab.image_builder import images
from lab.shell import run
from tests.estate import eventually, free_port
from tests.unit.program import plain, program
from tests.unit.test_components import containers, jobs

SERVER = Path(__file__).parent / "pebble"
DOMAIN = "desk.example.com"
YEAR = 365 * 24 * 3600
SHORT = 12
"""Seconds that a certificate lasts which is due within one test: HAProxy renews in the last twelfth."""
VOLUMES = {"/usr/local/etc/haproxy": "configuration", "/var/lib/haproxy": "run"}
ACME = "/usr/local/etc/haproxy/acme"
SOCKET = "/var/lib/haproxy/admin.sock"
CA = "https://pebble:14000/dir"
CHALLENGE = "/.well-known/acme-challenge/"


def docker(*words: str, stdin: str = "") -> str:
    return run("docker", ["docker", *words], stdin=stdin)


class Pebble:
    """A CA on the edge's network, which calls the edge by its domain."""

    def __init__(self, network: str, directory: Path, image: str) -> None:
        self.name, self.network, self.directory, self.image = f"{network}-pebble", network, directory, image
        self.program = cached("pebble", (SERVER / "go.mod", SERVER / "go.sum"), self._build) / "pebble"
        (directory / "pebble.pem").write_text(keys.new_certificate("pebble"))

    @staticmethod
    def _build(into: Path) -> None:
        go.build("building pebble", SERVER, "github.com/letsencrypt/pebble/v2/cmd/pebble", into / "pebble")

    def start(self, seconds: int) -> None:
        """Start it anew, without memory, to issue certificates for so many seconds."""
        self.stop()
        settings = {
            "listenAddress": ":14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": "/given/pebble.pem",
            "privateKey": "/given/pebble.pem",
            "httpPort": 8080,
            "tlsPort": 8443,
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {"default": {"description": "the only one", "validityPeriod": seconds}},
        }
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": settings}))
        options = ["--detach", f"--name={self.name}", f"--network={self.network}", "--network-alias=pebble"]
        options += [f"--volume={self.program}:/pebble:ro", f"--volume={self.directory}:/given:ro", "--user=root"]
        # It would wait at random, and refuse one request in twenty: that is for HAProxy's own tests.
        options += ["--env=PEBBLE_VA_NOSLEEP=1", "--env=PEBBLE_WFE_NONCEREJECT=0", "--entrypoint=/pebble"]
        docker("run", *options, self.image, "-config", "/given/pebble.json")
        eventually(lambda: "ACME directory" in self.log())

    def stop(self) -> None:
        docker("rm", "--force", self.name)

    def log(self) -> str:
        shown = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True)
        return shown.stdout + shown.stderr

    @property
    def orders(self) -> int:
        """How many it was given since it was started."""
        return self.log().count("Added order")


class Edge:
    """An edge as the program declares it."""

    def __init__(self, name: str, image: str) -> None:
        self.name, self.image = name, image
        self.http, self.https = free_port(), free_port()
        self.known_to_the_ca = False
        self.order_from(CA)

    def order_from(self, directory: str) -> None:
        """Declare it with another CA."""
        acme = {"directory": directory, "email": "desk@example.com", "ca": keys.ca_certificate()}
        self.declared = program(acme=acme, domain=DOMAIN, tlsCertificate=None, haproxyImage=self.image)
        configuration = self.job("configuration")["files"]["/new/haproxy.cfg"]
        self.pem = re.findall(r"load crt (\S+)", configuration)[0]

    def job(self, which: str, *edits: tuple[str, str]) -> dict[str, Any]:
        """What a job is given, on this edge's volumes, with some of its script replaced."""
        given = jobs(self.declared)[f"carica-test-haproxy-{which}"]
        volumes = {path: f"{self.name}-{VOLUMES[path]}" for path in given["volumes"]}
        for old, new in edits:
            assert old in given["script"]
            given["script"] = given["script"].replace(old, new)
        # A job removes what another one of its name has left: tests of two checkouts may run at the same time.
        return given | {"name": f"{self.name}-{which}", "image": self.image, "volumes": volumes}

    def start(self, *, watched: bool = True) -> None:
        """Start a new container on the volumes; one that is watched has the healthcheck, each second."""
        given = plain(containers(self.declared)["carica-test-haproxy"])
        kind, health = given["healthcheck"]["tests"]
        assert kind == "CMD-SHELL"
        docker("rm", "--force", self.name)
        options = ["--detach", f"--name={self.name}", f"--user={given['user']}", "--read-only"]
        options += [f"--publish=127.0.0.1:{self.http}:8080", f"--publish=127.0.0.1:{self.https}:8443"]
        options += [f"--volume={self.name}-{which}:{path}" for path, which in VOLUMES.items()]
        options += [f"--health-cmd={health}", "--health-interval=1s"] if watched else ["--no-healthcheck"]
        options += [f"--network-alias={DOMAIN}"] if self.known_to_the_ca else []
        docker("run", *options, f"--network={self.name}", self.image, *given["command"])

    def point_the_domain_here(self) -> None:
        """Have the domain lead to the edge, for the CA."""
        self.known_to_the_ca = True
        docker("network", "disconnect", self.name, self.name)
        docker("network", "connect", f"--alias={DOMAIN}", self.name, self.name)

    def inside(self, script: str) -> str:
        return docker("exec", "--interactive", self.name, "sh", "-eu", stdin=script)

    def served(self) -> int | None:
        """The serial number of the certificate that a browser gets, trusted or not; None for none."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection(("127.0.0.1", self.https), timeout=5) as plain_,
                trust.wrap_socket(plain_, server_hostname=DOMAIN) as connection,
            ):
                return x509.load_der_x509_certificate(connection.getpeercert(True) or b"").serial_number
        except OSError:
            return None

    def kept(self) -> int | None:
        """The serial number of the certificate on the volume."""
        text = self.inside(f"cat {self.pem} 2>/dev/null || true")
        return x509.load_pem_x509_certificate(text.encode()).serial_number if text else None

    def order(self) -> None:
        """Have HAProxy order a certificate now."""
        self.inside(f"echo acme renew {self.pem} | socat - UNIX-CONNECT:{SOCKET}")

    def metric(self) -> float | None:
        """When the certificate expires, as the metrics say; None when they do not."""
        shown = self.inside("wget -q -O - http://127.0.0.1:8404/metrics/certificate || true")
        return float(shown.split()[-1]) if shown else None

    def status(self, path: str) -> int:
        """The status of what the HTTP port answers."""
        url = f"http://127.0.0.1:{self.http}{path}"
        return httpx.get(url, headers={"Host": DOMAIN}, trust_env=False).status_code

    def health(self) -> str:
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.name).strip()

    def log(self) -> str:
        shown = subprocess.run(["docker", "logs", self.name], capture_output=True, text=True, check=True)
        return shown.stdout + shown.stderr


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    """A network and volumes of that name."""
    engine()
    name = f"carica-acme{secrets.token_hex(3)}"
    docker("network", "create", name)
    for which in VOLUMES.values():
        docker("volume", "create", f"{name}-{which}")
    yield name
    docker("rm", "--force", name, f"{name}-pebble")
    docker("volume", "rm", *(f"{name}-{which}" for which in VOLUMES.values()))
    docker("network", "rm", name)


@pytest.fixture(scope="module")
def image() -> str:
    image = str(stack.settings()["haproxyImage"])
    images({"haproxy": image})
    return image


@pytest.fixture(scope="module")
def pebble(name: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> Pebble:
    return Pebble(name, tmp_path_factory.mktemp("pebble"), image)


@pytest.fixture(scope="module")
def edge(name: str, image: str) -> Edge:
    """An edge that was started while its CA was away."""
    edge = Edge(name, image)
    JobProvider().create(edge.job("owner"))
    JobProvider().create(edge.job("configuration"))
    edge.start()
    return edge


def tried(edge: Edge, seconds: int) -> None:
    """Have it so long ago that a certificate was last ordered."""
    edge.inside(f"echo $(($(date +%s) - {seconds})) >{ACME}/tried")


def test_without_its_ca_it_starts_all_the_same_and_says_so(edge: Edge) -> None:
    eventually(lambda: "503 when getting directory URL, retrying" in edge.log())
    assert edge.health() == "healthy"
    assert (edge.status("/"), edge.status(CHALLENGE + "token")) == (308, 308)
    assert (edge.served(), edge.kept(), edge.metric()) == (None, None, None)


def test_what_the_ca_refused_is_not_ordered_again_each_second(edge: Edge, pebble: Pebble) -> None:
    pebble.start(YEAR)
    eventually(lambda: "Aborting" in edge.log(), 120)
    orders = pebble.orders
    assert orders > 0
    with pytest.raises(JobError, match=f"pebble:14000/dir has given no certificate for {DOMAIN}") as said:
        JobProvider().create(edge.job("certificate", (" now;", ";")))
    assert "port 80" in str(said.value)
    assert pebble.orders == orders
    assert (edge.health(), edge.served(), edge.kept()) == ("healthy", None, None)
    tried(edge, 3590)
    time.sleep(4)
    assert pebble.orders == orders
    tried(edge, 3601)
    eventually(lambda: pebble.orders == orders + 1)


def test_the_next_up_has_it_ordered_at_once(edge: Edge, pebble: Pebble) -> None:
    edge.point_the_domain_here()
    JobProvider().create(edge.job("certificate"))
    assert edge.served() == edge.kept() is not None
    eventually(lambda: YEAR - 60 < (edge.metric() or 0) - time.time() < YEAR)


def test_only_haproxys_user_reads_keys(edge: Edge) -> None:
    for line in edge.inside(f"stat -c '%U %a %n' {ACME} {ACME}/*.pem {ACME}/*.key").splitlines():
        owner, mode, name = line.split()
        assert (owner, mode[-2:]) == ("haproxy", "00"), name


def test_the_tools_of_the_official_image_suffice(edge: Edge) -> None:
    """Alpine's are busybox, which reads dates more strictly than Debian's."""
    tools = "/var/lib/haproxy/tools"
    edge.inside(f"mkdir {tools}; busybox --install -s {tools}; ln -s $(command -v socat) {tools}/")
    edge.inside(f"rm {edge.pem}; PATH={tools} sh {ACME}/acme.sh {SOCKET} 1")
    assert edge.kept() == edge.served()


def test_a_restart_orders_nothing(edge: Edge, pebble: Pebble) -> None:
    serial, orders = edge.kept(), pebble.orders
    docker("restart", "--time=1", edge.name)
    eventually(lambda: edge.served() == serial)
    edge.start(watched=False)
    eventually(lambda: edge.served() == serial)
    assert pebble.orders == orders


def test_another_ca_has_another_certificate_and_the_way_back_orders_nothing(edge: Edge, pebble: Pebble) -> None:
    serial, orders = edge.kept(), pebble.orders
    edge.order_from("https://PEBBLE:14000/dir")
    # The job waits for what is ordered now: a new container may come next, and nobody looks after this one.
    JobProvider().create(edge.job("configuration"))
    assert edge.served() == edge.kept() not in (serial, None)
    edge.order_from(CA)
    JobProvider().create(edge.job("configuration"))
    assert edge.served() == serial
    assert pebble.orders == orders + 1


def test_a_reload_loses_no_order_that_is_under_way(edge: Edge, pebble: Pebble) -> None:
    before = edge.kept()
    pebble.start(YEAR)
    edge.order()
    JobProvider().create(edge.job("configuration"))
    assert edge.served() == edge.kept() not in (before, None)
    assert pebble.orders == 1


def test_it_renews_by_itself_and_keeps_what_it_gets(edge: Edge, pebble: Pebble) -> None:
    pebble.start(SHORT)
    edge.start()
    before = edge.kept()
    edge.order()
    eventually(lambda: edge.kept() not in (before, None), 60)
    # Not HAProxy itself: it has looked once, and would look again in 12 hours.
    ordered = edge.kept()
    eventually(lambda: edge.kept() not in (ordered, None), 60)
    assert edge.served() == edge.kept()
    eventually(lambda: 0 < (edge.metric() or 0) - time.time() < SHORT)


def test_without_its_ca_it_serves_what_it_has_and_says_so(edge: Edge, pebble: Pebble) -> None:
    pebble.stop()
    serial = edge.served()
    eventually(lambda: "invalid HTTP status code 503" in edge.log(), 120)
    docker("restart", "--time=1", edge.name)
    eventually(lambda: (edge.served(), edge.kept(), edge.health()) == (serial, serial, "healthy"))
