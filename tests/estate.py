"""A whole desk of its own for a test session: its own copy of the project, stack, ports, network and deploy host."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import apps, carica_deploy, deploy_host, github, github_host, keys, registry, stack
from lab.desk import Desk, desk
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from lab.shell import say
from lab.toolchain import toolchain

PROJECT_FILES = (
    "Pulumi.yaml",
    "__main__.py",
    "components",
    "flows",
    "deploy",
    "policies",
    "ci",
    "Makefile",
    "requirements.txt",
    "requirements-dev.txt",
)


@dataclass(frozen=True)
class Outcome:
    """What a pulumi command did."""

    code: int
    text: str

    def changes(self) -> dict[str, int]:
        """Return what its summary counts, such as {"update": 1, "same": 30}."""
        words = {
            "created": "create",
            "updated": "update",
            "deleted": "delete",
            "replaced": "replace",
            "unchanged": "same",
        }
        found = {}
        for line in self.text.splitlines():
            parts = line.split()
            if len(parts) >= 2 and parts[-1] in words and parts[-2].isdigit():
                found[words[parts[-1]]] = int(parts[-2])
        return found


@dataclass
class Estate:
    """A desk under test; `project` may be edited like a checkout."""

    name: str
    project: Path
    env: Mapping[str, str]
    ssh_port: int
    registry_port: int
    github: github.Client

    @property
    def prefix(self) -> str:
        """What the names of its containers begin with."""
        return f"carica-{self.name}"

    @property
    def desk(self) -> Desk:
        """Its address and log-ins."""
        return desk(self.env, self.name, self.project)

    def pulumi(self, *words: str, stdin: str | None = None) -> Outcome:
        """Run a pulumi command; its output is one text, as a person reads it."""
        done = subprocess.run(
            ["pulumi", *words, "--stack", self.name, "--color", "never"],
            cwd=self.project, env={**os.environ, **self.env}, input=stdin or "", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout)

    def up(self, *words: str) -> Outcome:
        """Run `pulumi up`, which must succeed."""
        outcome = self.pulumi("up", "--yes", "--skip-preview", "--diff", *words)
        assert outcome.code == 0, outcome.text
        return outcome

    def failing_up(self) -> str:
        """Run `pulumi up`, which must fail; return what it says."""
        outcome = self.pulumi("up", "--yes", "--skip-preview")
        assert outcome.code != 0, outcome.text
        return outcome.text

    def destroy(self) -> Outcome:
        """Run `pulumi destroy`, with the repositories let go before."""
        stack.unprotect_repositories(self.env, self.name, self.project)
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def expect_no_changes(self) -> None:
        """Fail with the diff if a preview finds anything to do."""
        outcome = self.pulumi("preview", "--diff", "--expect-no-changes")
        assert outcome.code == 0, outcome.text

    def started_up(self) -> subprocess.Popen[str]:
        """Start `pulumi up`, to be followed by its output."""
        return subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--stack", self.name, "--color", "never"],
            cwd=self.project, env={**os.environ, **self.env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def interrupted_up(self, after: str) -> None:
        """Start `pulumi up`, and interrupt it as Ctrl-C does once its output names `after`."""
        process = self.started_up()
        assert process.stdout
        for line in process.stdout:
            if after in line:
                os.killpg(process.pid, signal.SIGINT)
                break
        process.communicate(timeout=300)
        assert process.returncode != 0, f"it ended by itself before {after} was named"

    def set(self, path: str, value: str, *, secret: bool = False) -> None:
        """Set a setting."""
        words = ["config", "set", "--path", f"{stack.PROJECT}:{path}"]
        outcome = self.pulumi(*words, "--secret", stdin=value) if secret else self.pulumi(*words, value)
        assert outcome.code == 0, outcome.text

    def unset(self, path: str) -> None:
        """Remove a setting."""
        outcome = self.pulumi("config", "rm", "--path", f"{stack.PROJECT}:{path}")
        assert outcome.code == 0, outcome.text

    def setting(self, key: str) -> str:
        """Return a setting, laid open."""
        return str(json.loads(self.pulumi("config", "get", "--json", f"{stack.PROJECT}:{key}").text)["value"])

    def inspect(self, part: str) -> dict[str, Any]:
        """Return what Docker knows of the container of `part`."""
        shown = subprocess.run(
            ["docker", "inspect", f"{self.prefix}-{part}"], text=True, stdout=subprocess.PIPE, check=True
        )
        return dict(json.loads(shown.stdout)[0])

    def container_ids(self) -> dict[str, str]:
        """Return part → container id."""
        return {part: self.inspect(part)["Id"] for part in ("postgres", "kestra", "haproxy")}


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def estate(project: Path) -> Iterator[Estate]:
    """Yield an estate that is prepared, not yet up; take everything apart afterwards."""
    say(engine())
    chosen = toolchain()
    name = f"test{secrets.token_hex(3)}"
    for part in PROJECT_FILES:
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, project / part)
    (project / ".venv").symlink_to((ROOT / ".venv").resolve())

    ports = {"httpPort": free_port(), "httpsPort": free_port()}
    ssh_port, github_port, registry_port = free_port(), free_port(), free_port()
    document = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    document.pop("encryptionsalt", None)
    settings = document["config"]
    for line in chosen.chosen + images(
        {part: settings[f"{stack.PROJECT}:{part}Image"] for part in ("postgres", "kestra", "haproxy")}
    ):
        say(line)
    settings |= {f"{stack.PROJECT}:{key}": str(value) for key, value in ports.items()}
    settings[f"{stack.PROJECT}:networks"] = [f"carica-{name}-lab"]
    settings[f"{stack.PROJECT}:githubUrl"] = f"http://127.0.0.1:{github_port}"
    for each in settings[f"{stack.PROJECT}:repositories"]:
        each["pullRequests"] = False  # tests push to main as developers did before there was a ruleset
    settings[f"{stack.PROJECT}:deployHosts"][0] |= {
        "adminPort": ssh_port,
        "environment": carica_deploy.environment(name, free_port(), registry_port),
        "registry": {"server": registry.address(registry_port), "username": registry.ACCOUNT},
    }
    document["config"] = _without_secrets(settings)
    (project / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(document))

    env = {**chosen.environment, **stack.environment(), "PULUMI_STACK": name}
    running = Estate(name, project, env, ssh_port, registry_port, github.Client(f"http://127.0.0.1:{github_port}"))
    outcome = running.pulumi("stack", "init")
    assert outcome.code == 0, outcome.text
    given = keys.stack_secrets("localhost")
    stack.set_secrets(name, given, env, project)
    host, hub, network = f"carica-{name}-deploy-host", f"carica-{name}-github", f"carica-{name}-lab"
    store = f"carica-{name}-registry"
    deploy_host.start(host, network, ssh_port)
    registry.start(store, network, registry_port)
    apps.publish_first(registry_port)
    github_host.admit(github_host.start(hub, network, github_port, stack.edge(name, project)), given)
    carica_deploy.seed(running.github)
    try:
        yield running
    finally:
        running.destroy()
        github_host.remove(hub, network)
        deploy_host.remove(host, network)
        carica_deploy.remove(name)
        registry.remove(store, network, registry_port)


def _without_secrets(settings: Any) -> Any:
    """Drop what a person's own `make up` has encrypted into Pulumi.dev.yaml."""
    if isinstance(settings, dict):
        return {key: _without_secrets(value) for key, value in settings.items() if not _is_secret(value)}
    if isinstance(settings, list):
        return [_without_secrets(each) for each in settings if not _is_secret(each)]
    return settings


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and "secure" in value


def eventually(check: Any, seconds: float = 30) -> Any:
    """Return what `check` returns once it is true; fail with its last value after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds:.0f} s; last: {found!r}"
        time.sleep(0.2)
