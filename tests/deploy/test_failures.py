"""What goes wrong is told apart by its exit code, and what ran before goes on."""

import json
import re
import subprocess
from typing import Any

import pytest

from lab.shell import run
from tests.deploy.server import COMPOSE, Server
from tests.estate import eventually


@pytest.mark.parametrize("tag", ["sick", "broken"])
def test_what_does_not_get_healthy_is_rolled_back_and_never_served(server: Server, tag: str) -> None:
    server.update("image", "carica", "v1")
    before, container = server.status(), server.containers("carica")
    with server.asked_all_the_time() as answers:
        said = server.update("image", "carica", tag, code=8)
    assert answers == {"carica v1"}
    assert re.search(rf"^container {server.name}-carica-\d+ is (unhealthy|starting)", said, re.MULTILINE)
    assert said.splitlines()[-1] == "carica-update: not healthy: rolled back"
    assert server.status() == before
    assert server.containers("carica") == container
    record = server.history()[-1]
    assert (record["outcome"], record["code"], record["to"]["images"]["carica"]) == ("rolled back", 8, tag)


def test_a_service_that_runs_once_is_rolled_back_too(server: Server) -> None:
    before = server.status()["commit"]
    compose = COMPOSE.replace('/proxy-healthz"]', '/nowhere"]')
    assert compose != COMPOSE
    commit = server.push({"compose.yaml": compose})
    server.update("commit", commit, code=8)
    assert server.status()["commit"] == before
    server.update("commit", server.push({"compose.yaml": COMPOSE}))


@pytest.mark.parametrize(
    ("compose", "why"),
    [
        ("services: [", "cannot be used"),
        ("services: {web: {image: 'x:1', unknown: 1}}", "cannot be used"),
        ("services: {}", "no image"),
        ("services: {web: {build: .}}", "builds one"),
        ("services: {web: {image: 'haproxy:3.4.7-alpine', volumes: ['./data:/data']}}", "keep data in volumes"),
        ("services: {web: {image: 'haproxy:3.4.7-alpine', volumes: ['./:/data']}}", "the whole repository is mounted"),
        (None, "has no compose.yaml"),
    ],
)
def test_a_compose_file_that_cannot_be_used_changes_nothing(server: Server, compose: str | None, why: str) -> None:
    before = server.status(), server.containers("proxy"), server.containers("carica")
    if compose is None:
        server.sh("rm /srv/work/compose.yaml")
    try:
        commit = server.push({} if compose is None else {"compose.yaml": compose})
        assert why in server.update("commit", commit, code=7)
        assert (server.status(), server.containers("proxy"), server.containers("carica")) == before
    finally:
        server.push({"compose.yaml": COMPOSE})


def test_a_commit_that_is_not_on_the_branch_is_refused(server: Server) -> None:
    assert "is not on branch main" in server.update("commit", "f" * 40, code=4)
    # fmt: off
    elsewhere = server.sh(
        "cd /srv/work; git checkout --quiet -b other; git commit --quiet --allow-empty --message x; "
        "git push --quiet origin other; git rev-parse HEAD; git checkout --quiet main"
    ).strip()
    # fmt: on
    assert "is not on branch main" in server.update("commit", elsewhere, code=4)


def test_an_image_that_nothing_runs_is_refused(server: Server) -> None:
    assert "no service runs carica.ml" in server.update("image", "carica.ml", "v1", code=4)
    assert "carica.ml" not in server.status()["images"]


def test_a_rewritten_history_is_refused(server: Server) -> None:
    before = server.sh("git -C /srv/work rev-parse HEAD").strip()
    deployed = server.push({"VERSION": "to be lost\n"})
    server.update("commit", deployed)
    server.sh("cd /srv/work; git reset --quiet --hard $1; git push --quiet --force origin HEAD:main", before)
    said = server.update("commit", server.push({"VERSION": "instead\n"}), code=5)
    assert f"branch main was rewritten: {deployed}" in said
    assert server.status()["commit"] == deployed
    # As the message says: a branch that holds it again goes on.
    server.sh(
        "cd /srv/work; git merge --quiet -s ours --message 'As it was' $1; git push --quiet origin HEAD:main", deployed
    )
    server.update("commit", server.sh("git -C /srv/work rev-parse HEAD").strip())


def test_a_git_server_that_is_away_is_waited_for_by_trying_again(server: Server) -> None:
    commit = server.push({"VERSION": "later\n"})
    server.sh("mv /srv/git/deploy.git /srv/git/away")
    try:
        assert "branch main cannot be fetched" in server.update("commit", commit, code=6)
        assert server.history()[-1]["outcome"] == "unreachable"
        # An image takes no Git.
        server.update("image", "carica-ml", "v1")
    finally:
        server.sh("mv /srv/git/away /srv/git/deploy.git")
    server.update("commit", commit)
    assert server.status()["commit"] == commit


def test_a_registry_that_is_away_or_lacks_the_image_changes_nothing(server: Server) -> None:
    before = server.status()
    assert "carica:v99 cannot be pulled" in server.update("image", "carica", "v99", code=6)
    run("registry", ["docker", "stop", "--time", "1", f"{server.name}-registry"])
    try:
        assert "cannot be pulled" in server.update("image", "carica-ml", "v1", code=6)
        assert server.status() == before
        # A commit takes no registry when all is there.
        commit = server.push({"VERSION": "without a registry\n"})
        server.update("commit", commit)
    finally:
        run("registry", ["docker", "start", f"{server.name}-registry"])
    eventually(lambda: server.start_update("image", "carica-ml", "v2").wait() == 0)
    assert server.answers("/ml", "carica-ml v2")


def test_a_log_in_that_is_wrong_pulls_nothing(server: Server) -> None:
    server.sh("cd /var/lib/carica/docker; mv config.json away; docker image rm --force $1 >/dev/null",
              f"127.0.0.1:{server.registry_port}/centaurin/carica:broken")  # fmt: skip
    try:
        assert "cannot be pulled" in server.update("image", "carica", "broken", code=6)
    finally:
        server.sh("cd /var/lib/carica/docker; mv away config.json")


def test_a_deployment_that_takes_too_long_keeps_the_next_one_out(server: Server) -> None:
    server.sh("sed -i 's/LOCK_SECONDS=180/LOCK_SECONDS=1/' /usr/local/bin/carica-deploy")
    holding = subprocess.Popen(["docker", "exec", server.name, "flock", "/var/lib/carica/lock", "sleep", "120"])
    try:
        eventually(lambda: server.run("sh", "-c", "! flock --nonblock /var/lib/carica/lock true; echo $?") == "0\n")
        running = server.status()["running"]
        assert "did not end within 1 s" in server.update("current", "by=late", code=3)
        record = server.history()[-1]
        assert (record["who"], record["outcome"], record["code"]) == ("late", "busy", 3)
        assert server.status()["running"] == running
    finally:
        server.sh("pkill --exact sleep")
        holding.wait()
        server.install()


def test_a_full_disk_stops_a_deployment_and_breaks_nothing(server: Server) -> None:
    server.update("image", "carica-ml", "v1")
    before = server.status()
    with server.full_disk():
        said = server.update("image", "carica-ml", "v2", code=1)
        assert "No space left on device" in said
        assert server.status() == before
        assert server.answers("/ml", "carica-ml v1")
    server.update("image", "carica-ml", "v2")
    assert server.answers("/ml", "carica-ml v2")


def test_a_disk_that_fills_up_meanwhile_keeps_nothing_from_being_rolled_back(server: Server) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "sick")
    eventually(lambda: len(server.containers("carica")) == 2)
    with server.full_disk():
        assert begun.wait() == 8
        assert len(server.containers("carica")) == 1
    server.update("current")
    assert server.answers("/", "carica v1")


def test_a_compose_file_of_another_project_is_refused_as_the_old_one_would_run_on(server: Server) -> None:
    server.sh("sed -i.old s/$1/$1-other/ /etc/carica/host.env", f"COMPOSE_PROJECT_NAME='{server.name}")
    try:
        assert f"name is not {server.name} any more" in server.update("current", code=7)
    finally:
        server.sh("mv /etc/carica/host.env.old /etc/carica/host.env")
    server.update("current")


def test_a_record_that_a_full_disk_cut_short_takes_none_with_it(server: Server) -> None:
    server.sh('printf \'{"at":"x","who\' >>/var/lib/carica/deployments.jsonl')
    server.update("current", "by=after")
    assert server.history()[-1]["who"] == "after"


def test_the_log_is_emptied_when_it_is_long_and_kept_once(server: Server) -> None:
    server.sh("sed -i s/LOG_SIZE=10M/LOG_SIZE=8k/ /usr/local/bin/carica-deploy; seq 9999 >>/var/lib/carica/log")
    try:
        server.update("current")
    finally:
        server.install()
    assert server.sh("tail -n 2 /var/lib/carica/log.1") == "9999\ncarica-update: started\n"
    said = server.sh("cat /var/lib/carica/log")
    assert "9999" not in said
    assert said.endswith(f"deployed commit {server.status()['commit']}\n")


def test_a_log_that_cannot_be_written_changes_no_exit_code(server: Server) -> None:
    server.sh("cd /var/lib/carica; mv log log.away; mkdir log")
    try:
        server.update("current")
        server.update("image", "carica", "v99", code=6)
        # Nor does it end a deployment whose reader is gone too.
        server.sh("runuser -u deploy -- carica-update image carica v2 | head -n 1")
        assert eventually(lambda: server.history()[-1]["outcome"] == "deployed")
    finally:
        server.sh("cd /var/lib/carica; rmdir log; mv log.away log")


def test_root_deploys_as_the_account_and_leaves_no_files_of_its_own(server: Server) -> None:
    # Of an environment that leads elsewhere, nothing is taken.
    elsewhere = ["DOCKER_HOST=tcp://127.0.0.1:1", "COMPOSE_PROJECT_NAME=elsewhere", "COMPOSE_FILE=/nowhere"]
    server.run("env", *elsewhere, "carica-update", "current")
    assert server.sh("find /var/lib/carica -user root ! -type d -o -user root -newer /etc/carica/deploy.conf") == ""
    server.update("current")


def test_what_is_deployed_and_cannot_be_read_is_not_taken_for_nothing(server: Server) -> None:
    server.sh("cd /var/lib/carica; mv deployed.json away; echo >deployed.json")
    try:
        assert "deployed.json cannot be read" in server.update("current", code=1)
    finally:
        server.sh("cd /var/lib/carica; mv away deployed.json")


def test_an_image_may_be_called_as_a_command_is(server: Server) -> None:
    for name in ("status", "report"):
        done = server.over_ssh(f"image {name} v1 report")
        assert f"no service runs {name}" in done.text
        assert '"outcome":"refused"' in done.text


def test_kestra_is_told_the_outcome_in_a_line_of_its_own(server: Server) -> None:

    def outputs(command: str) -> dict[str, Any]:
        done = server.over_ssh(f"{command} report")
        assert done.code == 0
        line = next(each for each in done.text.splitlines() if each.startswith("::{"))
        return dict(json.loads(line.removeprefix("::").removesuffix("::"))["outputs"])

    commit = server.status()["commit"]
    good = outputs("current by=jane")
    assert good == {"code": 0, "outcome": "deployed", "commit": commit, "message": f"deployed commit {commit}"}
    assert server.history()[-1]["who"] == "jane"
    bad = outputs("image carica broken")
    assert (bad["code"], bad["outcome"], bad["commit"]) == (8, "rolled back", commit)
    assert bad["message"].startswith("not healthy: rolled back (container ")
    assert server.history()[-1]["who"] == "kestra"
    assert outputs("commit nonsense")["outcome"] == "refused"
    assert outputs("status")["status"] == server.status()
    assert outputs("image carica v99")["outcome"] == "unreachable"
