"""`make demo`: a new version is served, a broken one is rolled back, a forged call is refused."""

import datetime
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import apps, deploy_host, developer, edge_log, github, keys
from lab.apt import packages
from lab.carica_deploy import REPOSITORY
from lab.desk import Desk, desk
from lab.paths import ROOT
from lab.shell import LabError, run
from lab.site import Watch, watched
from lab.stack import NAME, settings

APP = "carica"
SCRIPT_STARTED = "carica-update: started"
SCRIPT_FINISHED = "deployed commit "
"""What deploy/update.sh prints first and last."""
ROLLED_BACK = "not healthy: rolling back "
"""What it says of a version that does not get healthy."""
Step = tuple[str, datetime.datetime]


def demo(env: Mapping[str, str], stack: str = NAME, project: Path = ROOT, ssh_port: int = deploy_host.PORT) -> None:
    """Print how a version that is pushed gets served, how a broken one does not, and that a forged call gets nowhere.

    Raises LabError when one of them goes another way, or a visitor of the site notices.
    """
    running, chosen = desk(env, stack, project), settings(stack, project)
    host = chosen["deployHosts"][0]
    url, registry_port = f"http://{host['environment']['HTTP_BIND']}/", int(host["registry"]["server"].split(":")[1])
    hub = github.Client(chosen["githubUrl"])

    def deploy(variant: str) -> Deployment:
        return deployed(running, hub, chosen["imageWorkflow"], variant, registry_port)

    with watched(url) as watch:
        print(f"A new version of {APP} is pushed. The site answers all the while at {url}")
        good = deploy(apps.GOOD)
        good.expect("SUCCESS", running)
        serving = f"{APP} {good.release.version}"
        started, finished = script(running, good.id)
        served = ("the site answers with the new version", watch.first(serving))
        accepted = edge_log.accepted(stack, good.began, "gh_workflow_completed")[0].accepted
        taken = ("accepted by the edge: signature verified, handed to Kestra", accepted)
        script_ran = [("script started on the deploy host", started), ("script finished", finished)]
        timeline(good.began, [*good.steps, taken, *script_ran, served])
        status = json.loads(as_kestra("status", ssh_port))
        print(f"the deploy host runs {APP} {status['images'][APP]}, pushed by {status['who']}, since {status['at']}")

        print("\nA version that cannot start is pushed.")
        broken = deploy(apps.BROKEN)
        broken.expect("FAILED", running)
        (rolled_back,) = said(running, broken.id, ROLLED_BACK)
        timeline(broken.began, [*broken.steps, (rolled_back[1], rolled_back[0])])
        if watch.visits[-1].answer != serving:
            raise LabError(f"after a broken version the site answers {watch.visits[-1].answer}, not {serving}")
        print(f"the site answers {serving}, as before")
        told(hub, broken.release)
    unnoticed(watch)

    forged = github.Delivery("push", github.push(REPOSITORY, "f" * 40), "a guess at the secret")
    refused = forged.send(running.webhook_urls["gh_push_deployment"], running.trust)
    print(f"\nA push signed with another secret: {refused.status_code} {refused.reason_phrase}")
    if refused.status_code != 403:
        raise LabError("a forged call was not refused")


@dataclass(frozen=True)
class Deployment:
    """A version that was pushed, and what became of it."""

    began: datetime.datetime
    release: developer.Release
    execution: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the execution's id."""
        return str(self.execution["id"])

    @property
    def state(self) -> str:
        """Return what the execution ended as."""
        return str(self.execution["state"]["current"])

    @property
    def steps(self) -> list[Step]:
        """Return what every deployment goes through."""
        return [
            ("git push begun", self.began),
            (f"pushed: {self.release.version}, commit {self.release.commit[:12]}", self.release.pushed),
            ("image built and published; GitHub tells Kestra", self.release.published),
            ("execution created", _entered(self.execution, "CREATED")),
            (f"execution ended: {self.state}", _entered(self.execution, self.state)),
        ]

    def expect(self, state: str, running: Desk) -> None:
        """Raise LabError, with the log, unless it ended so."""
        if self.state != state:
            log = "\n  ".join(running.log(self.id))
            raise LabError(f"the deployment of {self.release.version} ended as {self.state}:\n  {log}")


def deployed(running: Desk, hub: github.Client, workflow: str, variant: str, registry_port: int) -> Deployment:
    """Push a version and wait until its deployment has ended."""
    began = datetime.datetime.now(datetime.UTC)
    release = developer.release(hub, APP, workflow, variant, registry_port)
    answer = hub.delivery_of(release.repository, release.commit)
    if answer["status_code"] != 200:
        raise LabError(f"GitHub's delivery ended as {answer['status']}: {answer['response']['payload'][:300]}")
    return Deployment(began, release, running.ended(json.loads(answer["response"]["payload"])["id"], seconds=300))


def timeline(began: datetime.datetime, steps: Sequence[Step]) -> None:
    """Print steps in their order, with the milliseconds since `began`."""
    for what, when in sorted(steps, key=lambda step: step[1]):
        print(f"  {(when - began) / datetime.timedelta(milliseconds=1):8.0f} ms  {what}")


def told(hub: github.Client, release: developer.Release, seconds: float = 30) -> None:
    """Print what GitHub shows at a commit whose deployment failed; raises LabError when that is no failure."""
    end = time.monotonic() + seconds
    while True:
        # The latest comes first; Kestra sets it once the deployment has ended.
        latest = next(iter(hub.statuses(release.repository, release.commit)), {"state": "none"})
        if latest["state"] == "failure":
            break
        if time.monotonic() > end:
            raise LabError(f"the status of commit {release.commit} is {latest['state']} after {seconds:.0f} s")
        time.sleep(0.2)
    print(f"commit {release.commit[:12]} on GitHub: {latest['context']} {latest['state']}, {latest['description']}")
    print(f"  {latest['target_url']}")


def unnoticed(watch: Watch) -> None:
    """Print how many visits there were; raises LabError when one failed."""
    if watch.failed:
        raise LabError(f"{len(watch.failed)} of {len(watch.visits)} visits failed, the first: {watch.failed[0].answer}")
    print(f"meanwhile the site was visited {len(watch.visits)} times, and answered each time")


def script(running: Desk, execution_id: str) -> tuple[datetime.datetime, datetime.datetime]:
    """Return when the first and the last line that the deploy script prints reached Kestra."""
    (started, _), (finished, _) = said(running, execution_id, SCRIPT_STARTED, SCRIPT_FINISHED)
    return started, finished


def said(
    running: Desk, execution_id: str, *beginnings: str, seconds: float = 10
) -> list[tuple[datetime.datetime, str]]:
    """Return the first line in an execution's log that begins with each of the words, with when Kestra got it.

    Kestra stores lines a moment after the execution ended. Raises LabError when they are not there within `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        log = running.timed_log(execution_id)
        found = [[line for line in log if line[1].startswith(each)] for each in beginnings]
        if all(found):
            return [min(each) for each in found]
        if time.monotonic() > end:
            shown = "\n  ".join(line for _, line in log)
            raise LabError(
                f"not in the log of execution {execution_id} within {seconds:.0f} s: lines that begin with"
                f" {' and '.join(f'`{each}`' for each in beginnings)}; it says:\n  {shown}"
            )
        time.sleep(0.1)


def _entered(execution: dict[str, Any], state: str) -> datetime.datetime:
    """Return when an execution got into `state`."""
    histories = execution["state"]["histories"]
    return next(datetime.datetime.fromisoformat(entry["date"]) for entry in histories if entry["state"] == state)


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
