"""What a deployment comes to when something beside it fails, from a developer's `git push` on.

Nobody who visits the site meanwhile is to notice.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab import developer
from lab.carica_deploy import REPOSITORY
from lab.demo import as_kestra
from lab.site import watched
from lab.stack import settings
from tests.estate import Estate, eventually
from tests.instead import REAL, Script, changed, in_host

PUSHES = 8


@pytest.fixture(autouse=True)
def unnoticed(desk: Estate) -> Iterator[None]:
    """Visit the site all the while."""
    host = settings(desk.name, desk.project)["deployHosts"][0]
    with watched(f"http://{host['environment']['HTTP_BIND']}/") as watch:
        yield
    assert len(watch.visits) > 0
    assert watch.failed == []


def docker(desk: Estate, verb: str, *parts: str) -> None:
    """Do something to containers of the desk: `kill` is without warning, as is a machine that loses power."""
    subprocess.run(["docker", verb, *(f"{desk.prefix}-{part}" for part in parts)], check=True, stdout=subprocess.PIPE)


def delivery(desk: Estate, commit: str) -> dict[str, Any]:
    """Return GitHub's delivery of a push, which was taken."""
    found = desk.github.delivery_of(REPOSITORY, commit)
    assert found["status_code"] == 200, found
    return found


def execution(desk: Estate, commit: str) -> str:
    """Return the execution that a push started."""
    return str(json.loads(delivery(desk, commit)["response"]["payload"])["id"])


def deployed(desk: Estate) -> dict[str, Any]:
    """Return what the server says of itself."""
    return dict(json.loads(as_kestra("status", desk.ssh_port)))


def told(desk: Estate, commit: str) -> str:
    """Return what GitHub shows at a commit."""
    return str(next(iter(desk.github.statuses(REPOSITORY, commit)), {"state": "nothing"})["state"])


@contextmanager
def under_way(desk: Estate, script: Script) -> Iterator[str]:
    """Yield a commit whose deployment takes a while, once it has begun."""
    script(f'[ -z "${{SSH_ORIGINAL_COMMAND+x}}" ] || sleep 5\nexec {REAL} "$@"\n')
    commit = developer.push(desk.github, REPOSITORY)
    eventually(lambda: commit in in_host(desk, "cat /tmp/words 2>/dev/null || true"))
    yield commit


@pytest.mark.parametrize("parts", [("kestra",), ("postgres", "kestra")], ids="+".join)
def test_a_deployment_outlives_kestra_and_is_not_made_twice(
    desk: Estate, script: Script, parts: tuple[str, ...]
) -> None:
    with under_way(desk, script) as commit:
        started = execution(desk, commit)
        docker(desk, "kill", *parts)
        try:
            # The script goes on without anybody who listens.
            eventually(lambda: deployed(desk)["commit"] == commit)
        finally:
            docker(desk, "start", *parts)
    assert desk.desk.ended(started, seconds=300)["state"]["current"] == "SUCCESS"
    (deployment,) = desk.desk.deployments(started)
    assert deployment["state"]["current"] == "SUCCESS"
    assert deployed(desk)["commit"] == commit
    assert eventually(lambda: told(desk, commit) == "success")
    later = developer.push(desk.github, REPOSITORY)
    assert desk.desk.ended(execution(desk, later))["state"]["current"] == "SUCCESS"
    assert deployed(desk)["commit"] == later


def test_a_server_that_is_away_gets_it_when_it_is_back(desk: Estate) -> None:
    before = deployed(desk)["commit"]
    docker(desk, "kill", "deploy-host")
    try:
        # As it is, but for the time between.
        with changed(desk, {"interval: PT30S": "interval: PT1S"}):
            commit = developer.push(desk.github, REPOSITORY)
            started = execution(desk, commit)
            eventually(lambda: len([line for line in desk.desk.log(started) if "onnect" in line]) > 1, 60)
            assert told(desk, commit) == "pending"
            docker(desk, "start", "deploy-host")
            assert desk.desk.ended(started)["state"]["current"] == "SUCCESS"
    finally:
        docker(desk, "start", "deploy-host")
    assert before != deployed(desk)["commit"] == commit
    assert eventually(lambda: told(desk, commit) == "success")


def test_what_github_delivers_again_is_deployed_once(desk: Estate) -> None:
    commit = developer.push(desk.github, REPOSITORY)
    first = delivery(desk, commit)
    desk.desk.ended(execution(desk, commit))
    hook = f"/repos/{REPOSITORY}/hooks/{first['hook_id']}/deliveries"
    with desk.github.api(desk.github.token({"webhooks": "write"})) as api:
        api.post(f"{hook}/{first['id']}/attempts").raise_for_status()
    again = eventually(
        lambda: [
            each for each in desk.github.deliveries(REPOSITORY) if each["guid"] == first["guid"] and each["redelivery"]
        ]
    )
    assert [(each["status_code"], each["response"]["payload"]) for each in again] == [(200, "duplicate ignored")]
    history = [json.loads(line) for line in as_kestra("history", desk.ssh_port).splitlines()]
    assert [each["what"] for each in history].count(f"commit {commit}") == 1


def test_many_pushes_in_a_row_are_all_deployed_or_overtaken(desk: Estate) -> None:
    commits = [developer.push(desk.github, REPOSITORY) for _ in range(PUSHES)]
    started = [execution(desk, commit) for commit in commits]
    assert len(set(started)) == PUSHES
    assert {desk.desk.ended(each)["state"]["current"] for each in started} == {"SUCCESS"}
    assert deployed(desk)["commit"] == commits[-1]
    for commit in commits:
        assert eventually(lambda commit=commit: told(desk, commit) == "success")
