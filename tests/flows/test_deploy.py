"""The flow `deploy`: the words that reach a server, what GitHub and people are told, and what is refused.

Where the outcome matters and not the deployment, a script that ends as a test says stands for deploy/update.sh.
"""

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab import apps, carica_deploy, deploy_host, github
from lab.demo import as_kestra, commit_to_deploy
from lab.deployments import SILENT, ask, deployments
from tests.estate import Estate, eventually, free_port
from tests.flows.test_flows import DEPLOY, ML, WORKFLOW, started
from tests.instead import Script, changed, in_host

HOST, COMMIT = "deploy-host", "a" * 40


def run(desk: Estate, **inputs: str) -> dict[str, Any]:
    """Run the flow by hand, and return the execution that ended."""
    with desk.desk.api() as api:
        answer = api.post("/executions/prod/deploy", files={key: (None, value) for key, value in inputs.items()})
    return desk.desk.ended(answer.raise_for_status().json()["id"])


def of_push(desk: Estate, commit: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Push a commit; return what ended of it, and the deployments."""
    execution = started(desk, "gh_push_deployment", "push", github.push(DEPLOY, commit))
    assert execution
    return desk.desk.ended(execution), desk.desk.deployments(execution)


def statuses(desk: Estate, repository: str, commit: str) -> list[tuple[str, str, str]]:
    """State, context and description of a commit's statuses, the latest first."""
    found = desk.github.statuses(repository, commit)
    return [(each["state"], each["context"], each["description"]) for each in found]


def outputs(code: int, outcome: str, message: str = "") -> str:
    """What deploy/update.sh prints last, for Kestra."""
    given = {"code": code, "outcome": outcome, "commit": COMMIT, "message": message}
    return f"::{json.dumps({'outputs': given})}::"


def said(code: int, outcome: str, message: str = "") -> str:
    """The command that prints it."""
    return f"echo '{outputs(code, outcome, message)}'\n"


def heard(desk: Estate) -> list[str]:
    """The words that reached the stand-in, one call a line."""
    return [" ".join(line.split()) for line in in_host(desk, "cat /tmp/words").splitlines()]


def chat(desk: Estate) -> list[str]:
    """What was told where failures are told."""
    return [each["text"] for each in desk.github.told(desk.setting("notifyUrl").rpartition("/")[2])]


# --- what GitHub is told ---


def test_a_pushed_commit_bears_the_status_of_its_deployment_with_a_link_to_the_log(desk: Estate) -> None:
    desk.github.forget_violations()
    commit, told = commit_to_deploy(desk.github), chat(desk)
    _, (deployment,) = of_push(desk, commit)
    assert statuses(desk, DEPLOY, commit) == [
        ("success", f"deploy/{HOST}", "deployed"),
        ("pending", f"deploy/{HOST}", "being deployed"),
    ]
    page = f"{desk.desk.url}/ui/main/executions/prod/deploy/{deployment['id']}"
    assert {each["target_url"] for each in desk.github.statuses(DEPLOY, commit)} == {page}
    assert desk.github.violations() == []
    assert chat(desk) == told


def test_an_images_deployment_is_told_at_the_commit_it_was_built_of(desk: Estate, script: Script) -> None:
    script(said(0, "deployed"))
    commit = desk.github.commit(ML, {"VERSION": f"{time.time_ns()}\n"}, quietly=True).commit
    assert commit
    payload = github.workflow_run(ML, WORKFLOW, "v1.2.3")
    payload["workflow_run"]["head_sha"] = commit
    execution = started(desk, "gh_workflow_completed", "workflow_run", payload)
    assert execution
    assert desk.desk.ended(execution)["state"]["current"] == "SUCCESS"
    assert statuses(desk, ML, commit)[0] == ("success", f"deploy/{HOST}", "deployed")
    by = payload["sender"]["login"]
    (deployment,) = desk.desk.deployments(execution)
    assert heard(desk) == [f"image carica-ml v1.2.3 source={commit} by={by} run={deployment['id']} report"]


def test_a_deployment_that_was_rolled_back_fails_once_and_says_so_at_the_commit_and_to_people(
    desk: Estate, script: Script
) -> None:
    """Another try would take the site through the same again."""
    complaint = "web did not get healthy within 120 s"
    script(f"echo 'pulling'; echo '{complaint}' >&2\n" + said(8, "rolled back", complaint))
    commit = commit_to_deploy(desk.github)
    told = len(chat(desk))
    ended, (deployment,) = of_push(desk, commit)
    assert (ended["state"]["current"], deployment["state"]["current"]) == ("FAILED", "FAILED")
    assert statuses(desk, DEPLOY, commit)[0] == ("failure", f"deploy/{HOST}", f"rolled back: {complaint}")
    assert len(heard(desk)) == 1
    (text,) = eventually(lambda: chat(desk)[told:])
    page = f"{desk.desk.url}/ui/main/executions/prod/deploy/{deployment['id']}"
    for part in (f"deploy/{HOST}: rolled back", f"commit   {commit}", complaint, page):
        assert part in text
    for key in ("kestraStatusToken", "notifyUrl", "webhookKey", "kestraPassword"):
        assert desk.setting(key)[:60] not in text


def test_what_a_server_says_is_never_evaluated(desk: Estate, script: Script) -> None:
    """Whoever can push a compose file can choose the words of an error about it."""
    planted = "{{ 6 * 7 }} {{ secret('WEBHOOK_KEY') }}"
    script(f'cat >&2 <<"EOF"\n{planted}\nEOF\n' + f'cat <<"EOF"\n{outputs(7, "refused", planted)}\nEOF\n')
    commit, told = commit_to_deploy(desk.github), len(chat(desk))
    of_push(desk, commit)
    assert statuses(desk, DEPLOY, commit)[0][2] == f"refused: {planted}"
    (text,) = eventually(lambda: chat(desk)[told:])
    assert text.count(planted) == 2


def test_a_commit_that_the_branch_has_not_is_refused_and_told(desk: Estate) -> None:
    commit = desk.github.commit(DEPLOY, {"VERSION": f"{time.time_ns()}\n"}, branch="aside", quietly=True).commit
    assert commit
    ended, _ = of_push(desk, commit)
    assert ended["state"]["current"] == "FAILED"
    state, _, description = statuses(desk, DEPLOY, commit)[0]
    assert state == "failure"
    assert description.startswith("refused: ")


def test_what_can_get_better_is_tried_again(desk: Estate, script: Script) -> None:
    script(
        "[ $(wc -l </tmp/words) -gt 1 ] || { echo 'the registry does not answer' >&2; exit 6; }\n" + said(0, "deployed")
    )
    commit = commit_to_deploy(desk.github)
    # As it is, but for the time between.
    with changed(desk, {"interval: PT30S": "interval: PT1S"}):
        ended, _ = of_push(desk, commit)
    assert ended["state"]["current"] == "SUCCESS"
    assert len(heard(desk)) == 2
    assert statuses(desk, DEPLOY, commit)[0][0] == "success"


def test_a_long_complaint_is_cut_to_what_github_takes(desk: Estate, script: Script) -> None:
    script(said(9, "rollback failed", "x" * 500))
    commit = commit_to_deploy(desk.github)
    of_push(desk, commit)
    state, _, description = statuses(desk, DEPLOY, commit)[0]
    assert (state, len(description)) == ("failure", 140)


def test_github_away_fails_no_deployment_and_hides_no_failure(desk: Estate, script: Script) -> None:
    commit = commit_to_deploy(desk.github)
    desk.github.misbehave("error", calls=100, path="/statuses/", status=502)
    try:
        script(said(0, "deployed"))
        ended, (deployment,) = of_push(desk, commit)
        assert (ended["state"]["current"], deployment["state"]["current"]) == ("SUCCESS", "SUCCESS")
        script(said(8, "rolled back"))
        ended, (deployment,) = of_push(desk, commit)
        assert (ended["state"]["current"], deployment["state"]["current"]) == ("FAILED", "FAILED")
    finally:
        desk.github.behave()
    assert statuses(desk, DEPLOY, commit) == []


def test_a_deployment_that_somebody_stops_is_no_success_at_the_commit(desk: Estate, script: Script) -> None:
    script("sleep 60\n" + said(0, "deployed"))
    commit = commit_to_deploy(desk.github)
    execution = started(desk, "gh_push_deployment", "push", github.push(DEPLOY, commit))
    assert execution
    eventually(lambda: statuses(desk, DEPLOY, commit))
    (deployment,) = desk.desk.deployments(execution)
    with desk.desk.api() as api:
        api.delete(f"/executions/{deployment['id']}/actions/kill").raise_for_status()
    stopped = eventually(lambda: statuses(desk, DEPLOY, commit)[1:] and statuses(desk, DEPLOY, commit))
    assert stopped[0] == ("failure", f"deploy/{HOST}", "stopped by hand")
    desk.desk.ended(execution)


def test_without_a_token_and_an_address_nobody_is_told(desk: Estate, script: Script) -> None:
    """The flow as it is, where the settings' words for it say so."""
    script(said(8, "rolled back"))
    commit, told = commit_to_deploy(desk.github), chat(desk)
    with changed(desk, {"envs.github_status": "'false'", "envs.notify": "'false'"}):
        ended, _ = of_push(desk, commit)
    assert ended["state"]["current"] == "FAILED"
    assert (statuses(desk, DEPLOY, commit), chat(desk)) == ([], told)


# --- by hand ---


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"what": "commit", "commit": COMMIT}, f"commit {COMMIT}"),
        ({"what": "image", "image": "web", "tag": "v1.2.3"}, "image web v1.2.3"),
        (
            {"what": "image", "image": "web", "tag": "main", "source": COMMIT, "by": "renovate[bot]"},
            f"image web main source={COMMIT} by=renovate[bot]",
        ),
        ({"what": "current"}, "current"),
        ({"what": "rollback", "by": "ada@example.com"}, "rollback by=ada@example.com"),
    ],
)
def test_a_person_deploys_a_chosen_tag_or_goes_back(
    desk: Estate, script: Script, inputs: dict[str, str], words: str
) -> None:
    script(said(0, "deployed"))
    ended = run(desk, host=HOST, **inputs)
    assert ended["state"]["current"] == "SUCCESS"
    assert heard(desk) == [f"{words} run={ended['id']} report"]


def test_a_tag_that_a_person_chose_is_what_the_server_has(desk: Estate) -> None:
    apps.publish("carica-ml", "v0.9.0", port=desk.registry_port)
    ended = run(desk, host=HOST, what="image", image="carica-ml", tag="v0.9.0", by="ada")
    assert ended["state"]["current"] == "SUCCESS"
    status = json.loads(as_kestra("status", desk.ssh_port))
    assert (status["images"]["carica-ml"], status["who"]) == ("v0.9.0", "ada")


@pytest.mark.parametrize(
    "inputs",
    [
        {"what": "commit"},
        {"what": "commit", "commit": "main"},
        {"what": "commit", "commit": "a" * 41},
        {"what": "commit", "commit": f"{COMMIT}\n"},
        {"what": "commit", "commit": f"{COMMIT} by=root"},
        {"what": "image", "image": "web"},
        {"what": "image", "image": "web", "tag": "v1; rm -rf /"},
        {"what": "image", "image": "web", "tag": "$(id)"},
        {"what": "image", "image": "web", "tag": "-f"},
        {"what": "image", "image": "web", "tag": "v1\n"},
        {"what": "image", "image": "web", "tag": "a" * 129},
        {"what": "image", "image": "web", "tag": "vé1"},
        {"what": "image", "image": "../web", "tag": "v1"},
        {"what": "image", "image": "web", "tag": "v1", "source": "main"},
        {"what": "rollback", "by": "ada; id"},
        {"what": "rollback", "by": "-ada"},
        {"what": "rollback", "repository": "centaurin/../x"},
        {"what": "rm"},
        {"what": "rollback", "host": "elsewhere"},
        {"what": "rollback", "host": "{{ secret('WEBHOOK_KEY') }}"},
    ],
    ids=str,
)
def test_forged_inputs_start_nothing(desk: Estate, inputs: dict[str, str]) -> None:
    given = {"host": HOST, **inputs}
    with desk.desk.api() as api:
        answer = api.post("/executions/prod/deploy", files={key: (None, value) for key, value in given.items()})
    assert answer.status_code == 422, answer.text


def test_an_unusual_name_of_who_pushed_stops_no_deployment(desk: Estate, script: Script) -> None:
    script(said(0, "deployed"))
    payload = github.push(DEPLOY, commit_to_deploy(desk.github))
    payload["sender"]["login"] = "a b;c"
    execution = started(desk, "gh_push_deployment", "push", payload)
    assert execution
    assert desk.desk.ended(execution)["state"]["current"] == "SUCCESS"
    assert "by=" not in heard(desk)[0]


# --- what runs where ---


def test_the_table_says_what_runs_where_since_when_and_from_which_commit(
    desk: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(desk, host=HOST, what="current", by="ada")["state"]["current"] == "SUCCESS"
    status = json.loads(as_kestra("status", desk.ssh_port))
    deployments(desk.env, desk.name, desk.project)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["server", "commit", "since", "by", "images"]
    assert row.split()[:4] == [HOST, status["commit"][:12], status["at"], "ada"]
    for name, tag in status["images"].items():
        assert f"{name} {tag}" in row


def test_a_server_that_does_not_answer_is_named(
    desk: Estate, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script("exit 1\n")
    assert ask(desk.desk) == {HOST: None}
    deployments(desk.env, desk.name, desk.project)
    assert f"{HOST}  {SILENT}" in capsys.readouterr().out


# --- several servers ---


@pytest.fixture(scope="module")
def two(desk: Estate) -> Iterator[Estate]:
    """The desk with a second server, which takes no images of the default branch."""
    name, network, port = f"{desk.prefix}-production", f"carica-{desk.name}-lab", free_port()
    deploy_host.start(name, network, port, "production")
    file = desk.project / f"Pulumi.{desk.name}.yaml"
    before = file.read_text()
    document = yaml.safe_load(before)
    hosts = document["config"]["carica-kestra:deployHosts"]
    second = {**copy.deepcopy(hosts[0]), "name": "production", "address": "production", "adminPort": port}
    second |= {"takes": ["commits", "versions"]}
    apps_there = f"{desk.name}-production"
    second["environment"] |= carica_deploy.environment(apps_there, free_port(), desk.registry_port)
    hosts.append(second)
    file.write_text(yaml.safe_dump(document))
    try:
        desk.up()
        yield desk
    finally:
        file.write_text(before)
        desk.up()
        deploy_host.remove(name, network)
        carica_deploy.remove(apps_there)


def order(desk: Estate, execution: str | None) -> list[tuple[str, str]]:
    """Server and state of each deployment that an execution started, in their order."""
    assert execution
    desk.desk.ended(execution)
    return [(each["inputs"]["host"], each["state"]["current"]) for each in desk.desk.deployments(execution)]


def test_each_server_is_sent_what_it_takes_in_the_settings_order(two: Estate) -> None:
    commit = commit_to_deploy(two.github)
    pushed = started(two, "gh_push_deployment", "push", github.push(DEPLOY, commit))
    assert order(two, pushed) == [(HOST, "SUCCESS"), ("production", "SUCCESS")]
    assert {each[:2] for each in statuses(two, DEPLOY, commit)} == {
        (state, f"deploy/{host}") for state in ("pending", "success") for host in (HOST, "production")
    }
    apps.publish("carica-ml", "v3.0.0", port=two.registry_port)
    version = started(two, "gh_workflow_completed", "workflow_run", github.workflow_run(ML, WORKFLOW, "v3.0.0"))
    assert order(two, version) == [(HOST, "SUCCESS"), ("production", "SUCCESS")]
    branch = started(two, "gh_workflow_completed", "workflow_run", github.workflow_run(ML, WORKFLOW, "main"))
    assert order(two, branch) == [(HOST, "SUCCESS")]
    found = ask(two.desk)
    assert list(found) == [HOST, "production"]
    first, second = (found[each] or {} for each in found)
    assert (first["commit"], second["commit"]) == (commit, commit)
    assert (first["images"]["carica-ml"], second["images"]["carica-ml"]) == ("main", "v3.0.0")


def test_what_fails_on_the_first_server_does_not_get_to_the_next(two: Estate, script: Script) -> None:
    script(said(8, "rolled back"))
    pushed = started(two, "gh_push_deployment", "push", github.push(DEPLOY, commit_to_deploy(two.github)))
    assert order(two, pushed) == [(HOST, "FAILED")]


def test_a_rollback_by_hand_is_of_the_chosen_server_alone(two: Estate, script: Script) -> None:
    script(said(0, "deployed"))
    assert run(two, host="production", what="current")["state"]["current"] == "SUCCESS"
    assert in_host(two, "touch /tmp/words; cat /tmp/words") == ""
