"""What a developer does: commit, tag, push; and what the runner does that hears of it."""

import base64
import datetime
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab import apps, github, registry
from lab.shell import run


@dataclass(frozen=True)
class Release:
    """A version that was pushed, and its image, which was published."""

    repository: str
    commit: str
    version: str
    pushed: datetime.datetime
    published: datetime.datetime


def push(hub: github.Client, repository: str, tag: str = "") -> str:
    """Commit to main and push, with a tag if one is named; return the commit's id."""
    token = hub.token({"contents": "write"}, repositories=[repository.partition("/")[2]])
    login = base64.b64encode(f"developer:{token}".encode()).decode()
    env = {
        # In the environment: neither argv nor the checkout's configuration shows it.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
        "GIT_AUTHOR_NAME": "A developer",
        "GIT_AUTHOR_EMAIL": "dev@example.com",
        "GIT_COMMITTER_NAME": "A developer",
        "GIT_COMMITTER_EMAIL": "dev@example.com",
    }
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        run("clone", ["git", "clone", "--quiet", "--branch", "main", f"{hub.url}/{repository}.git", checkout], env=env)
        (checkout / "VERSION").write_text(f"{tag or time.time_ns()}\n")
        run("add", ["git", "add", "VERSION"], cwd=checkout)
        run("commit", ["git", "commit", "--quiet", "--message", "A new version"], cwd=checkout, env=env)
        if tag:
            run("tag", ["git", "tag", tag], cwd=checkout)
        run("push", ["git", "push", "--quiet", "origin", "main", *([tag] if tag else [])], cwd=checkout, env=env)
        return run("commit id", ["git", "rev-parse", "HEAD"], cwd=checkout).strip()


def release(
    hub: github.Client, app: str, workflow: str, variant: str = apps.GOOD, registry_port: int = registry.PORT
) -> Release:
    """Push a new version of an application, have its image built and published, and have GitHub tell of that."""
    repository, version = f"{apps.OWNER}/{app}", f"v{datetime.datetime.now(datetime.UTC):%Y%m%d.%H%M%S.%f}"
    commit = push(hub, repository, version)
    pushed = datetime.datetime.now(datetime.UTC)
    apps.publish(app, version, variant, registry_port)
    published = datetime.datetime.now(datetime.UTC)
    hub.workflow_run(repository, workflow, version, head_sha=commit)
    return Release(repository, commit, version, pushed, published)
