"""A server that is prepared as Pulumi prepares it, a repository that it deploys, and a registry."""

import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from components.deploy_host import INSTALLED
from lab import apps, containers, deploy_host, keys, registry
from lab.engine import socket
from lab.paths import ROOT
from lab.shell import run
from tests.estate import eventually, free_port

TWICE = """    labels:
      carica.twice: "true"
"""
_CARICA, _TWICE, _ML = (ROOT / "lab/carica-deploy/compose.yaml").read_text().partition("  carica-ml:\n")
COMPOSE = _CARICA + _TWICE + _ML.replace(TWICE, "").replace("stop_grace_period: 30s", "stop_grace_period: 0s")
"""The lab's, but that carica-ml runs once and is not waited for: tests that are not about that take less time so."""
SETTLE_SECONDS = 3
"""How long replace.sh lets the proxy look for new containers."""
PROXY = (ROOT / "lab/carica-deploy/haproxy.cfg").read_text()
REPOSITORY = "file:///srv/git/deploy.git"
SEED = """
git init --quiet --bare --initial-branch main /srv/git/deploy.git
git clone --quiet /srv/git/deploy.git /srv/work 2>/dev/null
git -C /srv/work config user.name lab
git -C /srv/work config user.email lab@example.com
"""


@dataclass
class Done:
    """What a command did."""

    code: int
    text: str


@dataclass
class Server:
    """A container with sshd that drives this machine's engine, and a small disk for what the scripts keep."""

    name: str
    ssh_port: int
    http_port: int
    registry_port: int

    def run(self, *command: str, stdin: str = "", code: int = 0) -> str:
        """Run a command as root, which must end with `code`; return all it prints."""
        done = self._attempt(command, stdin)
        assert done.code == code, done.text
        return done.text

    def sh(self, script: str, *words: str) -> str:
        """Run a script as root, which must succeed."""
        return self.run("bash", "-euc", script, "sh", *words)

    def prepare(self, user: str, repository: str, key: str, *more: str, code: int = 0) -> str:
        """Run prepare.sh."""
        script = (ROOT / "deploy/prepare.sh").read_text()
        given = [user, repository, "main", key, "60", *more]
        return self.run("sh", "-s", "--", *given, stdin=script, code=code)

    def install(self, settle: int = 1) -> None:
        """Put the scripts in place; with a shorter time for the proxy, which tests that count requests do not take."""
        for each in INSTALLED:
            script = (ROOT / f"deploy/{each}.sh").read_text()
            script = script.replace(f"SETTLE_SECONDS={SETTLE_SECONDS}", f"SETTLE_SECONDS={settle}")
            self.run("install", "-m", "0755", "/dev/stdin", f"/usr/local/bin/carica-{each}", stdin=script)

    def update(self, *words: str, code: int = 0) -> str:
        """Run carica-update as the account does, which must end with `code`; return all it prints."""
        return self.run("runuser", "-u", "deploy", "--", "carica-update", *words, code=code)

    def start_update(self, *words: str) -> "subprocess.Popen[str]":
        """Start it."""
        command = ["docker", "exec", self.name, "runuser", "-u", "deploy", "--", "carica-update", *words]
        return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def over_ssh(self, command: str) -> Done:
        """Run carica-update with Kestra's key; the command is what Kestra sends."""
        done = subprocess.run(
            ["docker", "exec", "--env", f"SSH_ORIGINAL_COMMAND={command}", self.name,
             "runuser", "-u", "deploy", "--", "carica-update"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    def status(self) -> dict[str, Any]:
        """Return what is deployed."""
        return dict(json.loads(self.update("status")))

    def history(self) -> list[dict[str, Any]]:
        """Return the records of deployments, the newest last."""
        return [json.loads(line) for line in self.update("history").splitlines()]

    def push(self, files: Mapping[str, str], message: str = "A change") -> str:
        """Commit files to the repository and push them; return the commit."""
        for path, content in files.items():
            self.run("sh", "-euc", 'mkdir -p "$(dirname "$1")"; cat >"$1"', "sh", f"/srv/work/{path}", stdin=content)
        return self.sh('cd /srv/work; git add --all; git commit --quiet --allow-empty --message "$1"; '
                       "git push --quiet origin HEAD:main; git rev-parse HEAD", message).strip()  # fmt: skip

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no space left where the scripts keep things, as long as the block lasts."""
        self.sh("cat /dev/zero >/var/lib/carica/filler 2>/dev/null || true")
        try:
            yield
        finally:
            self.sh("rm /var/lib/carica/filler")

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        filters = {"project": self.name, "service": service}
        words = [
            word for key, value in filters.items() for word in ("--filter", f"label=com.docker.compose.{key}={value}")
        ]
        return run("containers", ["docker", "ps", "--quiet", "--no-trunc", *words]).split()

    def get(self, path: str = "/") -> str:
        """Return what the applications answer now."""
        return httpx.get(f"http://127.0.0.1:{self.http_port}{path}", trust_env=False, timeout=10).text.strip()

    def answers(self, path: str, wanted: str) -> bool:
        """Tell whether the applications answer as `wanted`, within the time a proxy takes to find out."""
        return bool(eventually(lambda: self.get(path) == wanted, 10))

    @contextmanager
    def asked_all_the_time(self, path: str = "/") -> Iterator[set[str]]:
        """Ask 50 times a second as long as the block lasts; yields the answers, failures among them."""
        answers: set[str] = set()
        over = threading.Event()

        def ask() -> None:
            try:
                got = httpx.get(f"http://127.0.0.1:{self.http_port}{path}", trust_env=False, timeout=10)
                answers.add(got.text.strip() if got.is_success else f"failed: {got.status_code}")
            except httpx.HTTPError as error:
                answers.add(f"failed: {error!r}")

        def go_on() -> None:
            asking = []
            while not over.is_set():
                asking.append(threading.Thread(target=ask))
                asking[-1].start()
                time.sleep(0.02)
            for each in asking:
                each.join()

        asker = threading.Thread(target=go_on)
        asker.start()
        try:
            yield answers
        finally:
            over.set()
            asker.join()

    def _attempt(self, command: tuple[str, ...], stdin: str) -> Done:
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.name, *command],
            input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)


@contextmanager
def server() -> Iterator[Server]:
    """Yield a server with the account `deploy`, logged in to a registry, and nothing deployed yet."""
    name = f"carica-test-{secrets.token_hex(3)}"
    running = Server(name, free_port(), free_port(), free_port())
    store = f"{name}-registry"
    containers.join(name)
    try:
        registry.start(store, name, running.registry_port)
        # fmt: off
        run("deploy host", [
            "docker", "run", "--detach", "--init", "--name", name, "--network", name,
            "--publish", f"127.0.0.1:{running.ssh_port}:22", "--tmpfs", "/var/lib/carica:mode=755,size=16m",
            "--volume", f"{socket()}:/var/run/docker.sock",
            "--env", "ADMIN_AUTHORIZED_KEY", "--env", "SSH_HOST_KEY", deploy_host.IMAGE,
        ], env={
            "ADMIN_AUTHORIZED_KEY": keys.ssh_key("admin_ed25519").public,
            "SSH_HOST_KEY": keys.ssh_key("deploy_host_ed25519").private,
        })
        # fmt: on
        deploy_host.wait(running.ssh_port)
        running.sh(SEED)
        running.prepare("deploy", REPOSITORY, keys.ssh_key("kestra_ed25519").public)
        running.install()
        address = registry.address(running.registry_port)
        environment = {
            "REGISTRY": f"{address}/{apps.OWNER}",
            "COMPOSE_PROJECT_NAME": name,
            "HTTP_BIND": f"127.0.0.1:{running.http_port}",
        }
        lines = "".join(f"{key}='{value}'\n" for key, value in environment.items())
        running.run("install", "-m", "0444", "/dev/stdin", "/etc/carica/host.env", stdin=lines)
        running.run("runuser", "-u", "deploy", "--", "docker", "--config", "/var/lib/carica/docker", "login",
                    "--username", registry.ACCOUNT, "--password-stdin", address,
                    stdin=registry.password())  # fmt: skip
        running.push({"compose.yaml": COMPOSE, "haproxy.cfg": PROXY}, "The first version")
        yield running
    finally:
        remove_project(name)
        registry.remove(store, name, running.registry_port)
        containers.remove(name, name)


def remove_project(name: str) -> None:
    """Remove what compose made."""
    label = ["--filter", f"label=com.docker.compose.project={name}"]
    for what, listing, removal in (("container", ["--all"], ["--force", "--volumes"]), ("network", [], [])):
        if found := run(what, ["docker", what, "ls", "--quiet", *listing, *label]).split():
            run(what, ["docker", what, "rm", *removal, *found])
