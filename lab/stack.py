"""The dev stack: its file backend and passphrase, and its secrets in Pulumi.dev.yaml."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.settings import SettingsError, parse
from components.settings.reading import plain_secrets
from lab import keys
from lab.paths import ROOT, STATE
from lab.shell import LabError, run, say

NAME = "dev"
PROJECT = "carica-kestra"
FILTER = "carica-settings-only"


def environment() -> dict[str, str]:
    """Return the variables that any `pulumi` command needs to work on stacks kept on this machine."""
    keys.kept("passphrase", keys.password)
    backend = STATE / "backend"
    backend.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(STATE / "passphrase"),
        "PULUMI_STACK": NAME,
        # components/settings says more than the CLI, which would stop first (see ARCHITECTURE.md).
        "PULUMI_OPTION_SKIP_CONFIG_VALIDATION": "true",
    }


def settings(stack: str = NAME, project: Path = ROOT) -> dict[str, Any]:
    """Return what a stack's file says, without the project's name; encrypted values are {"secure": …}."""
    document = yaml.safe_load((project / f"Pulumi.{stack}.yaml").read_text())
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in document["config"].items()}


def prepare(pulumi: Mapping[str, str]) -> None:
    """Make the dev stack and give it this machine's secrets; `pulumi` is the environment that finds the CLI."""
    env = {**pulumi, **environment()}
    versioned = (ROOT / ".git").exists()
    if versioned:
        # Keeps what follows out of the index (see .gitattributes).
        run("git filter", ["git", "config", f"filter.{FILTER}.clean", "awk -f lab/settings-only.awk"], cwd=ROOT)
    run("stack", ["pulumi", "stack", "select", "--create", NAME], cwd=ROOT, env=env)
    set_secrets(NAME, keys.stack_secrets(settings()["domain"]), env)
    if versioned:
        _unchanged_for_git()


def check(env: Mapping[str, str]) -> None:
    """Raise LabError with all that is wrong with the dev stack's settings, while nothing has been started for it."""
    shown = run("settings", ["pulumi", "config", "--json", "--show-secrets", "--stack", NAME], cwd=ROOT, env=env)
    given = {key.removeprefix(f"{PROJECT}:"): each for key, each in json.loads(shown).items()}
    values = {key: each["value"] for key, each in given.items()}
    secret = {key for key, each in given.items() if each["secret"]}
    try:
        parse(values, secret, plain_secrets(ROOT / f"Pulumi.{NAME}.yaml"))
    except SettingsError as error:
        raise LabError(str(error)) from None


def _unchanged_for_git() -> None:
    """Have git look at the stack's file again: it takes one of another size for modified, whatever the filter says."""
    words = ["git", "diff", "--exit-code", "--", f"Pulumi.{NAME}.yaml"]
    if subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0:
        run("git index", ["git", "add", "--", f"Pulumi.{NAME}.yaml"], cwd=ROOT)


def set_secrets(stack: str, secrets: Mapping[str, str], env: Mapping[str, str], project: Path = ROOT) -> None:
    """Encrypt the secrets that the stack's file lacks or that were made anew since; what a person set stays."""
    record = STATE / f"set-{stack}.json"
    before: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    present = settings(stack, project)
    now = {path: hashlib.sha256(value.encode()).hexdigest() for path, value in secrets.items()}
    wanted = [path for path in secrets if not _is_set(present, path) or before.get(path, now[path]) != now[path]]
    for number, path in enumerate(wanted, start=1):
        if number == 1:
            say(f"  storing {len(wanted)} secrets, encrypted, in Pulumi.{stack}.yaml")
        command = ["pulumi", "config", "set", "--secret", "--path", f"{PROJECT}:{path}", "--stack", stack]
        run(f"secret {path}", command, cwd=project, env=env, stdin=secrets[path])
    keys.keep(record, json.dumps(now))


def edge(stack: str, project: Path = ROOT) -> str:
    """Return the way from the lab's GitHub to a stack's edge: where hooks call it, and where its container is."""
    return f"localhost:{settings(stack, project)['httpsPort']}=carica-{stack}-haproxy:8443"


def unprotect_repositories(env: Mapping[str, str], stack: str = NAME, project: Path = ROOT) -> None:
    """Let a stack's repositories go, which are protected wherever they are: the lab's GitHub goes with its stack."""
    words = ["--stack", stack]
    shown = run("state", ["pulumi", "stack", "export", *words], cwd=project, env=env)
    for each in json.loads(shown)["deployment"].get("resources", []):
        if each["type"] == "github:index/repository:Repository":
            command = ["pulumi", "state", "unprotect", "--yes", *words, each["urn"]]
            run("letting a repository go", command, cwd=project, env=env)


def _is_set(present: Any, path: str) -> bool:
    """Tell whether what a path such as `key`, `key[0].name` or `key.NAME` leads to is there."""
    for step in path.replace("[", ".[").split("."):
        try:
            present = present[int(step[1:-1]) if step.startswith("[") else step]
        except (KeyError, IndexError):
            return False
    return True
