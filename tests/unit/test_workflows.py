"""What the workflows in .github must be like, and no linter of theirs can know."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.access import HOSTS, KEY

ROOT = Path(__file__).parent.parent.parent
GITHUB = ROOT / ".github"
TOOLS = GITHUB / "actions/tools/action.yml"
STEPS = {"check", "preview", "up", "drift"}
LOG_INS = {"PULUMI_STACK", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_ACCESS_TOKEN", KEY, HOSTS}
MAY = {
    ("preview", "check"): {"contents": "read"},
    ("preview", "preview"): {"contents": "read", "pull-requests": "write"},
    ("up", "up"): {"contents": "read"},
    ("drift", "drift"): {"contents": "read", "issues": "write"},
}
"""All that the token of each job may do."""


def workflow(name: str) -> dict[str, Any]:
    document = yaml.safe_load((GITHUB / f"workflows/{name}.yml").read_text())
    document["on"] = document.pop(True)  # YAML 1.1 reads the key `on` so
    return dict(document)


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in sorted(GITHUB.glob("workflows/*")):
        for name, job in workflow(path.stem)["jobs"].items():
            yield path.stem, name, job


def script(job: dict[str, Any]) -> dict[str, Any]:
    """The one step of a job that runs something."""
    [step] = [step for step in job["steps"] if "run" in step]
    return dict(step)


def test_there_are_the_jobs_that_are_judged_here() -> None:
    assert {(file, name) for file, name, _ in jobs()} == set(MAY)


def test_every_action_is_pinned_by_commit_with_its_version_beside_it() -> None:
    used = [line for path in [*GITHUB.glob("workflows/*"), TOOLS] for line in path.read_text().splitlines()]
    used = [line.strip().removeprefix("- ") for line in used if "uses:" in line]
    assert len(used) > 8
    for line in used:
        assert re.fullmatch(r"uses: ([\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9.]+|\./\.github/actions/tools)", line), line


def test_the_repository_they_are_in_lets_them_use_what_they_use() -> None:
    """GitHub's own actions are always allowed, all others by the list that `up` of prod sets."""
    text = "".join(path.read_text() for path in [*GITHUB.glob("workflows/*"), TOOLS])
    others = {action for action in re.findall(r"uses: (\w[\w.-]*/\S+)", text) if not action.startswith("actions/")}
    declared = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]["carica-kestra:repositories"]
    (deploying,) = (each for each in declared if "ci" in each)
    assert others
    assert [each for each in others if not any(fnmatch(each, allowed) for allowed in deploying["actions"])] == []


def test_one_action_is_pinned_to_one_commit() -> None:
    text = "".join(path.read_text() for path in [*GITHUB.glob("workflows/*"), TOOLS])
    pinned = set(re.findall(r"uses: (\S+)@(\S+)", text))
    assert len(pinned) == len({action for action, _ in pinned})


def test_each_job_runs_one_script_that_a_person_runs_too() -> None:
    assert {script(job)["run"] for _, _, job in jobs()} == {f"ci/step {name}" for name in STEPS}
    assert not any("run" in step for step in yaml.safe_load(TOOLS.read_text())["runs"]["steps"])


def test_a_token_may_do_what_its_job_needs_and_nothing_is_left_behind() -> None:
    for file, name, job in jobs():
        assert workflow(file)["permissions"] == {}
        assert job["permissions"] == MAY[file, name]
        assert job["timeout-minutes"] <= 90
        assert job["steps"][0]["with"] == {"persist-credentials": False}


def test_no_workflow_is_started_by_what_gives_a_fork_s_code_secrets() -> None:
    assert workflow("preview")["on"] == {"pull_request": None}
    assert workflow("up")["on"] == {"push": {"branches": ["main"]}}
    assert set(workflow("drift")["on"]) == {"schedule", "workflow_dispatch"}


def test_secrets_are_given_to_the_script_alone_and_not_for_a_fork() -> None:
    for file, name, job in jobs():
        given = script(job).pop("env", {})
        assert "secrets." not in str({**job, "steps": [{**step, "env": None} for step in job["steps"]]})
        assert all(value == f"${{{{ secrets.{key} }}}}" for key, value in given.items() if "secrets." in value)
        if name == "check":
            assert not given
            assert "environment" not in job
        else:
            assert given.keys() >= LOG_INS
            assert job["environment"] == ("prod" if name == "up" else "preview")
        assert ("GITHUB_TOKEN" in given) == ("write" in str(MAY[file, name]))
    assert workflow("preview")["jobs"]["preview"]["if"] == (
        "github.event.pull_request.head.repo.full_name == github.repository"
    )


@pytest.mark.parametrize("name", ["up", "drift"])
def test_what_works_on_prod_waits_for_its_turn_and_is_never_cancelled(name: str) -> None:
    assert workflow(name)["concurrency"] == {"group": "prod", "cancel-in-progress": False}


def test_the_cli_has_the_version_of_the_sdk() -> None:
    [version] = re.findall(r"pulumi-version: (\S+)", TOOLS.read_text())
    assert f"\npulumi=={version}\n" in (ROOT / "requirements.txt").read_text()
