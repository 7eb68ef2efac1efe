"""The steps of the workflows, by the script the workflows call, on a real stack."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.pulumi import DIFFERS
from lab import keys
from tests.engine.test_desk import edit_in_ui, source
from tests.estate import Estate, Outcome


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    """The file that Actions shows on the run's page."""
    return tmp_path / "summary.md"


@pytest.fixture(autouse=True)
def nothing_secret_is_told(desk: Estate, summary: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Search what a test has made public for the stack's secrets."""
    yield
    told = (summary.read_text() if summary.exists() else "") + capfd.readouterr().out
    for path, secret in keys.stack_secrets("localhost").items():
        if not path.endswith("hostKey"):  # public, and encrypted only because each machine has its own
            assert not any(line in told for line in secret.splitlines() if len(line) > 8), path


def step(desk: Estate, name: str, summary: Path, **more: str) -> Outcome:
    """Run a step as Actions does, without a GitHub."""
    done = subprocess.run(
        ["ci/step", name], cwd=desk.project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **desk.env, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), **more},
        timeout=600, check=False,
    )  # fmt: skip
    print(done.stdout)
    return Outcome(done.returncode, done.stdout)


def test_preview_shows_what_would_change_and_changes_nothing(desk: Estate, summary: Path) -> None:
    desk.set("haproxyMemory", "384")
    assert step(desk, "preview", summary).code == 0
    desk.unset("haproxyMemory")
    assert summary.read_text().startswith(f"### `pulumi preview` of {desk.name}: 1 to update, ")
    assert "~ memory    : 512 => 384" in summary.read_text()
    assert desk.inspect("haproxy")["HostConfig"]["Memory"] == 512 * 1024 * 1024


def test_up_makes_the_stack_as_the_code_says(desk: Estate, summary: Path) -> None:
    desk.set("haproxyMemory", "384")
    assert step(desk, "up", summary).code == 0
    assert f"### `pulumi up` of {desk.name}: 1 updated, " in summary.read_text()
    assert desk.inspect("haproxy")["HostConfig"]["Memory"] == 384 * 1024 * 1024
    desk.unset("haproxyMemory")
    assert step(desk, "up", summary).code == 0


def test_up_fails_loudly_before_anything_is_touched(desk: Estate, summary: Path) -> None:
    before = desk.container_ids()
    desk.set("kestraUser", "nobody")
    outcome = step(desk, "up", summary)
    desk.set("kestraUser", "admin@example.com")
    assert outcome.code != 0
    assert f"::error title={desk.name} is not as main says::" in outcome.text
    assert f"### `pulumi up` of {desk.name}: **failed**" in summary.read_text()
    assert "have 1 problem; nothing was changed" in summary.read_text()
    assert desk.container_ids() == before


def test_drift_is_seen_and_left_alone(desk: Estate, summary: Path) -> None:
    original = source(desk, "push_to_git")
    assert step(desk, "drift", summary).code == 0
    edit_in_ui(desk, "push_to_git", original.replace("Flows as edited in Kestra", "edited by hand"))
    outcome = step(desk, "drift", summary)
    assert outcome.code == DIFFERS
    assert f"::error title={desk.name} was changed by hand::" in outcome.text
    assert "edited by hand" in summary.read_text()
    assert "edited by hand" in source(desk, "push_to_git")
    desk.up("--refresh")
    assert step(desk, "drift", summary).code == 0


def test_a_stack_that_cannot_be_read_is_an_error_and_no_drift(desk: Estate, summary: Path) -> None:
    outcome = step(desk, "drift", summary, PULUMI_STACK="no-such-stack")
    assert outcome.code not in (0, DIFFERS)
    assert "no stack named 'no-such-stack'" in outcome.text
