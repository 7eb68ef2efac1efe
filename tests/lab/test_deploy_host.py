"""The lab's deploy host drives this machine's engine, as who may; what is done to it stays done."""

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab import apps, deploy_host, registry
from lab.shell import run
from tests.estate import eventually, free_port

PROJECT = """
services:
  web:
    image: {reference}
    configs:
      - source: given
        target: /tmp/given
configs:
  given:
    content: |
      of the compose file
"""


@dataclass
class Host:
    """A deploy host with an account `person`, and a registry."""

    name: str
    port: int

    def attempt(self, script: str, stdin: str = "", user: str = "person") -> "subprocess.CompletedProcess[str]":
        """Run a script as an account does that logs in now."""
        words = ["docker", "exec", "--interactive", self.name, "runuser", "--login", user, "--command", script]
        return subprocess.run(words, input=stdin, text=True, capture_output=True, check=False)

    def run(self, script: str, stdin: str = "", user: str = "person") -> str:
        """Run one, which must succeed; return what it prints."""
        done = self.attempt(script, stdin, user)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log_in(self) -> str:
        """Log in to the registry."""
        address = registry.address(self.port)
        return self.run(f"docker login --username {registry.ACCOUNT} --password-stdin {address}", registry.password())


@pytest.fixture(scope="module")
def host(references: dict[str, str]) -> Iterator[Host]:
    name, port = f"carica-test-{secrets.token_hex(3)}", free_port()
    store = f"carica-test-{secrets.token_hex(3)}"
    try:
        deploy_host.start(name, name, free_port())
        registry.start(store, name, port)
        host = Host(name, port)
        host.run("useradd --create-home --groups docker person; useradd --create-home other", user="root")
        yield host
    finally:
        deploy_host.remove(name, name)
        registry.remove(store, name, port)


def test_the_group_docker_may_use_the_engine_and_nobody_else(host: Host) -> None:
    here = run("engine", ["docker", "version", "--format", "{{.Server.Version}}"])
    assert host.run("docker version --format '{{.Server.Version}}'") == here
    refused = host.attempt("docker version", user="other")
    assert refused.returncode != 0
    assert "permission denied" in refused.stderr


def test_a_login_at_the_registry_is_checked(host: Host) -> None:
    address = registry.address(host.port)
    refused = host.attempt(f"docker login --username {registry.ACCOUNT} --password-stdin {address}", "a guess")
    assert refused.returncode != 0
    assert "401 Unauthorized" in refused.stderr
    assert "Login Succeeded" in host.log_in()


def test_compose_brings_up_what_it_pulls_from_the_registry(host: Host) -> None:
    reference = apps.publish("carica", "v1", port=host.port)
    run("image", ["docker", "image", "rm", reference])
    host.log_in()
    host.run("cat >compose.yaml", PROJECT.format(reference=reference))
    compose = f"docker compose --project-name {host.name}-app"
    try:
        host.run(f"{compose} up --detach --wait --quiet-pull")
        web = f"{host.name}-app-web-1"
        asked = ["docker", "inspect", "--format", "{{.Config.Image}} {{.State.Health.Status}}", web]
        assert run("container", asked) == f"{reference} healthy\n"
        assert run("file", ["docker", "exec", web, "cat", "/tmp/given"]) == "of the compose file\n"  # noqa: S108
    finally:
        host.run(f"{compose} down --timeout 5")


def test_what_was_done_to_the_server_outlives_its_container(host: Host) -> None:
    host.run("touch /usr/local/bin/installed /etc/configured /var/lib/carica/deployed", user="root")
    run("container", ["docker", "rm", "--force", host.name])
    deploy_host.start(host.name, host.name, free_port())
    host.run("docker version && ls ~/compose.yaml /usr/local/bin/installed /etc/configured /var/lib/carica/deployed")


def test_the_server_greets_again_after_a_restart(host: Host) -> None:
    run("restart", ["docker", "restart", "--time", "5", host.name])
    assert eventually(lambda: host.attempt("docker version").returncode == 0)
