"""What GitHub sends: webhook payloads in its real shapes, signed as it signs them."""

import copy
import hashlib
import hmac
import json
import ssl
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from lab import npm
from lab.cache import cached

EXAMPLES = "@octokit/webhooks-examples@7.6.1"
"""npm package of GitHub's own examples, which its types are checked against."""

Payload = dict[str, Any]


def examples_file() -> Path:
    """Return the file of all examples, fetched the first time."""

    def fetch(into: Path) -> None:
        npm.install("GitHub's webhook examples", EXAMPLES, into)

    package = cached("webhook-examples", (EXAMPLES,), fetch) / "node_modules/@octokit/webhooks-examples"
    return package / "api.github.com/index.json"


@cache
def _examples() -> dict[str, list[Payload]]:
    events = json.loads(examples_file().read_text())
    return {event["name"]: event["examples"] for event in events}


def example(event: str, number: int = 0) -> Payload:
    """Return a copy of GitHub's example payload of `event`."""
    return copy.deepcopy(_examples()[event][number])


def _in_repository(payload: Payload, full_name: str, default_branch: str) -> Payload:
    owner, _, name = full_name.partition("/")
    payload["repository"] |= {"full_name": full_name, "name": name, "default_branch": default_branch}
    payload["repository"]["owner"] |= {"login": owner}
    return payload


def push(repository: str, commit: str, *, branch: str = "main", before: str = "0" * 40) -> Payload:
    """Return the payload of a push of `commit` to `branch`; GitHub's example of a branch push with these fields set."""
    payload = _in_repository(
        next(copy.deepcopy(each) for each in _examples()["push"] if each["ref"] == "refs/heads/master"),
        repository,
        branch,
    )
    payload |= {"ref": f"refs/heads/{branch}", "before": before, "after": commit, "deleted": False}
    payload["head_commit"] |= {"id": commit}
    return payload


def workflow_run(
    repository: str, workflow: str, head_branch: str, *, conclusion: str = "success", event: str = "push"
) -> Payload:
    """Return the payload of a completed run of `workflow`; GitHub's example with these fields set."""
    payload = _in_repository(
        next(
            copy.deepcopy(each)
            for each in _examples()["workflow_run"]
            if each["action"] == "completed" and each["workflow_run"]["conclusion"] == "success"
        ),
        repository,
        "main",
    )
    payload["workflow"] |= {"name": workflow}
    payload["workflow_run"] |= {
        "name": workflow,
        "event": event,
        "conclusion": conclusion,
        "head_branch": head_branch,
    }
    for side in ("repository", "head_repository"):
        payload["workflow_run"][side] |= {"full_name": repository, "name": repository.partition("/")[2]}
    return payload


def signature(secret: str, body: bytes) -> str:
    """Return the value of X-Hub-Signature-256 for `body`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Delivery:
    """One call of a webhook, as GitHub makes it."""

    event: str
    payload: Payload
    secret: str = field(repr=False)

    def send(self, url: str, verify: ssl.SSLContext) -> httpx.Response:
        """Post it to `url` within GitHub's ten seconds, without a second try, as GitHub does."""
        body = json.dumps(self.payload).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/0000000",
            "X-GitHub-Event": self.event,
            "X-GitHub-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature-256": signature(self.secret, body),
        }
        with httpx.Client(verify=verify, timeout=10, trust_env=False) as client:
            return client.post(url, content=body, headers=headers)
