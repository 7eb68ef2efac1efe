"""`make demo`: a push to GitHub becomes a deployment; a forged call does not."""

import base64
import datetime
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import deploy_host, edge_log, github, keys
from lab.apt import packages
from lab.carica_deploy import REPOSITORY
from lab.desk import Desk, desk
from lab.paths import ROOT
from lab.shell import LabError, run
from lab.stack import NAME, settings

SCRIPT_STARTED = "carica-update: started"
SCRIPT_FINISHED = "deployed commit "
"""What deploy/update.sh prints first and last."""


def demo(env: Mapping[str, str], stack: str = NAME, project: Path = ROOT, ssh_port: int = deploy_host.PORT) -> None:
    """Print the way of a push by GitHub's call to the deploy host, with milliseconds.

    Raises LabError when the push does not end as a deployment, or a forged call is not refused.
    """
    running = desk(env, stack, project)
    hub = github.Client(settings(stack, project)["githubUrl"])
    began = datetime.datetime.now(datetime.UTC)
    commit = push_to_deploy(hub)
    print(f"a new commit on main of {REPOSITORY}: {commit[:12]}")

    answer = hub.delivery_of(REPOSITORY, commit)
    if answer["status_code"] != 200:
        raise LabError(f"GitHub's delivery ended as {answer['status']}: {answer['response']['payload'][:300]}")
    execution_id = json.loads(answer["response"]["payload"])["id"]
    execution = running.ended(execution_id)
    state = execution["state"]["current"]
    if state != "SUCCESS":
        raise LabError(f"the deployment ended as {state}:\n  " + "\n  ".join(running.log(execution["id"])))
    deployed = json.loads(as_kestra("status", ssh_port))

    script_started, script_finished = script(running, execution["id"])
    steps = [
        ("git push begun", began),
        ("accepted by the edge: signature verified, handed to Kestra", edge_log.accepted(stack, began)[0].accepted),
        ("execution created", _entered(execution, "CREATED")),
        ("script started on the deploy host", script_started),
        ("script finished", script_finished),
        (f"execution ended: {state}", _entered(execution, state)),
    ]
    for what, when in sorted(steps, key=lambda step: step[1]):
        print(f"  {(when - began) / datetime.timedelta(milliseconds=1):8.0f} ms  {what}")
    print(f"the deploy host reports {json.dumps(deployed)}")
    if deployed["commit"] != commit:
        raise LabError("that is not the commit that was pushed:\n  " + "\n  ".join(running.log(execution["id"])))

    forged = github.Delivery("push", github.push(REPOSITORY, "f" * 40), "a guess at the secret")
    refused = forged.send(running.webhook_urls["gh_push_deployment"], running.trust)
    print(f"the same call signed with another secret: {refused.status_code} {refused.reason_phrase}")
    if refused.status_code != 403:
        raise LabError("a forged call was not refused")


def script(running: Desk, execution_id: str, seconds: float = 10) -> tuple[datetime.datetime, datetime.datetime]:
    """Return when the first and the last line that the deploy script prints reached Kestra.

    Kestra stores lines a moment after the execution ended. Raises LabError when they are not there within `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        log = running.timed_log(execution_id)
        started = [when for when, line in log if line == SCRIPT_STARTED]
        finished = [when for when, line in log if line.startswith(SCRIPT_FINISHED)]
        if started and finished:
            return min(started), max(finished)
        if time.monotonic() > end:
            shown = "\n  ".join(line for _, line in log)
            raise LabError(
                f"not in the log of execution {execution_id} within {seconds:.0f} s: the script's lines"
                f" `{SCRIPT_STARTED}` and `{SCRIPT_FINISHED}…`; it says:\n  {shown}"
            )
        time.sleep(0.1)


def _entered(execution: dict[str, Any], state: str) -> datetime.datetime:
    """Return when an execution got into `state`."""
    histories = execution["state"]["histories"]
    return next(datetime.datetime.fromisoformat(entry["date"]) for entry in histories if entry["state"] == state)


def push_to_deploy(hub: github.Client) -> str:
    """Commit and push to carica-deploy, as a developer does; return the commit's id."""
    token = hub.token({"contents": "write"}, repositories=[REPOSITORY.partition("/")[2]])
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
        run("clone", ["git", "clone", "--quiet", "--branch", "main", f"{hub.url}/{REPOSITORY}.git", checkout], env=env)
        (checkout / "VERSION").write_text(f"{time.time_ns()}\n")
        run("add", ["git", "add", "VERSION"], cwd=checkout)
        run("commit", ["git", "commit", "--quiet", "--message", "A new version"], cwd=checkout, env=env)
        run("push", ["git", "push", "--quiet", "origin", "main"], cwd=checkout, env=env)
        return run("commit id", ["git", "rev-parse", "HEAD"], cwd=checkout).strip()


def commit_to_deploy(hub: github.Client) -> str:
    """Have a new commit on main of carica-deploy that no hook hears of; return its id."""
    commit = hub.commit(REPOSITORY, {"VERSION": f"{time.time_ns()}\n"}, message="A new version", quietly=True).commit
    assert commit  # noqa: S101 (a file was given)
    return commit


def as_kestra(command: str, port: int = deploy_host.PORT, user: str = "deploy") -> str:
    """Run the deploy script on the deploy host with Kestra's key, as the flows do; return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        return run("ssh", [*_ssh(Path(folder), "kestra_ed25519", port), f"{user}@127.0.0.1", command])


def _ssh(folder: Path, key: str, port: int) -> list[str]:
    packages(ssh="openssh-client")
    identity, known = folder / "id", folder / "known_hosts"
    keys.keep(identity, keys.ssh_key(key).private)
    known.write_text(f"[127.0.0.1]:{port} {keys.ssh_key('deploy_host_ed25519').public}\n")
    options = {"UserKnownHostsFile": known, "StrictHostKeyChecking": "yes", "IdentitiesOnly": "yes", "BatchMode": "yes"}
    return ["ssh", "-i", str(identity), "-p", str(port), *(f"-o{name}={value}" for name, value in options.items())]
