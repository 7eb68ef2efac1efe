"""The edge under attack: the configuration that the program renders, in the real container, with many sources."""

import contextlib
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from components.haproxy import CONFIGURATION, RUN
from components.job import JobProvider
from components.kestra import Kestra
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from lab.shell import run
from tests.edge.witness import SOCKET
from tests.unit.program import plain, program
from tests.unit.test_components import containers, jobs

HTTP, HTTPS = 8080, 8443
SOURCES = 450
"""How many sources attacks can come from."""
DOORSTEP = 20000
"""The port of the doorstep that stands for the first source."""
WITNESS = "/witness"
STRANGER = SOURCES - 1
"""The source that is not among GitHub's addresses."""
STATS_PASSWORD = "of-the-page-of-statistics"
OPTIONS: dict[str, Any] = {"hooksFromGithubOnly": "true", "edgeMetrics": "true", "statsPassword": STATS_PASSWORD}
"""All that is off by default is attacked as well."""


def docker(*words: str, stdin: str = "") -> str:
    """Run a docker command."""
    return run("docker", ["docker", *words], stdin=stdin, timeout=120)


def image() -> str:
    """Return HAProxy's image, which is there afterwards."""
    reference = str(yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["carica-kestra:haproxyImage"])
    engine()
    images({"haproxy": reference})
    return reference


@dataclass(frozen=True)
class Rendered:
    """What the program gives HAProxy: the files of its configuration as the job installs them, and its container."""

    files: Path
    container: dict[str, Any]
    key: str
    secret: str
    inner_key: str

    @property
    def text(self) -> str:
        """The configuration."""
        return (self.files / "haproxy.cfg").read_text()


def rendered(into: Path, image: str, **settings: Any) -> Rendered:
    """Render and install the configuration for new keys; it differs from the desk's in where Kestra is: the witness."""
    key, secret = secrets.token_urlsafe(24), secrets.token_hex(32)
    with patch.object(Kestra, "address", f"unix@{WITNESS}/{SOCKET}"):
        declared = program(
            hook_addresses=["127.1.0.0/16"],
            **OPTIONS,
            webhookKey=key,
            webhookSecret=secret,
            haproxyImage=image,
            **settings,
        )
    container = plain(containers(declared)["carica-test-haproxy"])
    name = f"carica-edge{secrets.token_hex(3)}"
    volumes = {each["containerPath"]: each["volumeName"] for each in container["volumes"]}
    mounted = {path: volume.replace("carica-test-haproxy", name) for path, volume in volumes.items()}
    try:
        for which in ("owner", "configuration"):
            given = jobs(declared)[f"carica-test-haproxy-{which}"]
            wanted = {path: volume.replace("carica-test-haproxy", name) for path, volume in given["volumes"].items()}
            JobProvider().create(given | {"name": f"{name}-{which}", "image": image, "volumes": wanted})
        packed = subprocess.run(
            [
                "docker",
                "run",
                "--rm",
                f"--volume={mounted[CONFIGURATION]}:/from",
                "--entrypoint=tar",
                image,
                "c",
                "-C",
                "/from",
                ".",
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
    finally:
        docker("volume", "rm", "--force", *mounted.values())
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    lines = (into / "haproxy.cfg").read_text().splitlines()
    inner = next(line.rpartition("/")[2] for line in lines if "replace-path" in line)
    return Rendered(into, container, key, secret, inner)


@dataclass(frozen=True)
class Doorstep:
    """Where attacks start: a container whose network the edge shares, with a port for each of many sources.

    A connection to the port of a source goes on to the edge's from that source's address, as it came.
    """

    name: str
    address: str

    def port(self, source: int, to: int = HTTPS) -> int:
        """Return the port for a source."""
        assert source < SOURCES
        return DOORSTEP + source + (SOURCES if to == HTTP else 0)


def source(number: int) -> str:
    """Return the address that the edge sees."""
    if number == STRANGER:
        return "127.2.0.1"
    return f"127.1.{number // 200}.{number % 200 + 1}"


@contextlib.contextmanager
def doorstep(image: str) -> Iterator[Doorstep]:
    """Start a doorstep."""
    name = f"carica-doorstep{secrets.token_hex(3)}"
    text = (
        "global\n maxconn 3500\n hard-stop-after 1s\n"
        # A connection that the edge ends at once would be tried again, after a second.
        "defaults\n mode tcp\n retries 0\n"
        " timeout connect 5s\n timeout client 2m\n timeout server 2m\n timeout client-fin 5s\n"
    )
    for number in range(SOURCES):
        for offset, to in ((0, HTTPS), (SOURCES, HTTP)):
            port = DOORSTEP + offset + number
            text += f"listen {port}\n bind :{port}\n server edge 127.0.0.1:{to} source {source(number)}\n"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "doorstep.cfg").write_text(text)
        options = [f"--name={name}", "--ulimit=nofile=8192:8192", f"--volume={folder}:/doorstep:ro"]
        docker("run", "--detach", *options, image, "haproxy", "-f", "/doorstep/doorstep.cfg")
        try:
            shown = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
            yield Doorstep(name, shown.strip())
        finally:
            docker("rm", "--force", "--volumes", name)


@contextlib.contextmanager
def running(image: str, given: Rendered, step: Doorstep, witness: Path, text: str) -> Iterator[str]:
    """Run HAProxy on a doorstep as the program declares it, with `text` for its configuration; yield the name.

    Raises AssertionError with HAProxy's words when it refuses the configuration.
    """
    name = f"carica-edge{secrets.token_hex(4)}"
    container = given.container
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "configuration"
        shutil.copytree(given.files, files)
        (files / "haproxy.cfg").write_text(text)
        for each in (files, *files.rglob("*")):
            each.chmod(0o755 if each.is_dir() else 0o644)
        limits = [f"--ulimit={each['name']}={int(each['soft'])}:{int(each['hard'])}" for each in container["ulimits"]]
        options = [f"--network=container:{step.name}", f"--user={container['user']}", "--read-only", "--cap-drop=ALL"]
        options += ["--security-opt=no-new-privileges:true", f"--memory={int(container['memory'])}m", *limits]
        options += [f"--volume={files}:{CONFIGURATION}:ro", f"--volume={witness}:{WITNESS}:ro"]
        options += [f"--tmpfs={RUN}:uid=99,gid=99"]
        try:
            docker("run", "--detach", f"--name={name}", *options, image, *container["command"])
            _healthy(name)
            yield name
        finally:
            docker("rm", "--force", "--volumes", name)


def _healthy(name: str) -> None:
    script = "until wget -q -O /dev/null http://127.0.0.1:8404/healthz; do sleep 0.05; done"
    asked = subprocess.run(
        ["docker", "exec", name, "timeout", "20", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, log(name)


def log(name: str) -> str:
    """Return what the edge logged."""
    shown = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
    return shown.stdout + shown.stderr
