"""`make lint` finds what it is there to find in shell scripts and workflows."""

from pathlib import Path

import pytest

from lab import lint

WORKFLOW = """on: push
permissions: {{}}
concurrency: {{group: g, cancel-in-progress: true}}
name: a workflow
jobs:
  job:
    name: A job
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - name: A step
        run: {run}
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without a fault."""
    (tmp_path / ".git").mkdir()  # by which actionlint and zizmor know the root
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/one.yml").write_text(WORKFLOW.format(run="ci/step up"))
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/step").write_text('#!/usr/bin/env bash\nexec make "$@"\n')
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr(lint, "WORKFLOWS", tmp_path / ".github")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What the linters have said of a checkout with a fault."""
    assert lint.main() == 1
    return capsys.readouterr().err


def test_a_checkout_without_a_fault_passes(checkout: Path) -> None:
    assert lint.main() == 0


def test_shell_scripts_are_read_by_shellcheck(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "ci/step").write_text("#!/usr/bin/env bash\nexec make $@\n")
    assert "SC2068" in said(capsys)


def test_workflows_are_read_by_actionlint_and_their_scripts_by_shellcheck(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkout / ".github/workflows/one.yml"
    file.write_text(WORKFLOW.format(run="ci/step ${{ github.no_such_thing }}"))
    assert 'property "no_such_thing" is not defined' in said(capsys)
    file.write_text(WORKFLOW.format(run="rm $HOME/*"))
    assert "SC2086" in said(capsys)


def test_workflows_are_judged_by_zizmor(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = checkout / ".github/workflows/one.yml"
    file.write_text(WORKFLOW.format(run="ci/step up").replace("on: push", "on: pull_request_target"))
    assert "dangerous-triggers" in said(capsys)


def test_scripts_are_told_by_their_first_line(checkout: Path) -> None:
    (checkout / "deploy").mkdir()
    (checkout / "deploy/update").write_text("#!/bin/sh\n")
    (checkout / "deploy/notes.md").write_text("#!/bin/shell is not one\n")
    (checkout / "deploy/program").write_text("#!/usr/bin/env python3\n")
    assert {path.name for path in lint.scripts()} == {"step", "update"}
