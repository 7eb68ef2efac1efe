"""The steps of CI with a `pulumi` that prints what a test says, and a GitHub that keeps what it is told."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ci import drift, preview, up
from ci.access import access
from ci.actions import SUMMARY_BYTES, Run, StepError
from ci.github import BODY_BYTES, GitHub
from ci.pulumi import DIFFERS, Pulumi
from ci.report import counts, cut, fenced
from tests.unit.valid import private_key

ROOT = Path(__file__).parent.parent.parent
BOT, PERSON = {"login": "github-actions[bot]", "type": "Bot"}, {"login": "mallory", "type": "User"}
PREVIEW, DRIFT = "<!-- carica-preview:prod -->", "<!-- carica-drift:prod -->"
DIFF = """Previewing update (prod):
  ~ a container
Resources:
    ~ 1 to update
    +-2 to replace
    3 changes. 27 unchanged

"""


# --- reports ---


@pytest.mark.parametrize("text", ["x" * 50 + "\n", "né ⚠️ `\n"])
def test_a_text_is_cut_to_bytes_between_its_begin_and_its_end(text: str) -> None:
    whole = "the begin\n" + text * 1000 + "the end"
    short = cut(whole, 2000)
    assert len(short.encode()) <= 2000
    assert short.startswith("the begin\n")
    assert short.endswith("\nthe end")
    left_out = re.search(r"… (\d+) lines are left out", short)
    assert left_out
    assert short.count("\n") - 4 + int(left_out[1]) == whole.count("\n") - 1
    assert cut(whole, len(whole.encode())) == whole


def test_nothing_in_a_text_closes_its_fence() -> None:
    block = fenced("before\n```\n</details> @everybody\n`````\n", 1000)
    assert block.splitlines()[0] == block.splitlines()[-1] == "``````"
    assert len(fenced("`" * 300 + "\n" + "a\n" * 9000, 5000).encode()) <= 5000


def test_the_summary_of_pulumi_in_one_line() -> None:
    assert counts(DIFF) == "1 to update, 2 to replace, 3 changes, 27 unchanged"
    assert counts("Resources:\n") == counts("error: no stack") == ""


# --- what GitHub Actions says ---


def run_of(path: Path, head: str | None = "o/r", **more: str) -> Run:
    """A run for pull request 7 of o/r, whose code comes from `head`."""
    repo = {"full_name": head} if head else None
    (path / "event.json").write_text(
        json.dumps({"pull_request": {"number": 7, "head": {"sha": "c0ffee", "repo": repo}}})
    )
    given = {
        "PATH": f"{path}:{os.environ['PATH']}", "HOME": str(path), "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "o/r", "GITHUB_EVENT_PATH": str(path / "event.json"), "GITHUB_TOKEN": "the-run's-token",
        "GITHUB_SERVER_URL": "https://github.example", "GITHUB_API_URL": "https://github.example/api/v3",
        "GITHUB_RUN_ID": "99", "GITHUB_STEP_SUMMARY": str(path / "summary.md"),
        "PULUMI_STACK": "prod", "PULUMI_CONFIG_PASSPHRASE": "the stack's passphrase",
    }  # fmt: skip
    return Run.from_environment(given | more)


def test_a_fork_is_told_by_where_the_code_comes_from(tmp_path: Path) -> None:
    assert not run_of(tmp_path).is_for_a_fork
    assert run_of(tmp_path, "mallory/r").is_for_a_fork
    assert run_of(tmp_path, None).is_for_a_fork  # deleted meanwhile
    assert not run_of(tmp_path, "mallory/r", GITHUB_EVENT_PATH="").is_for_a_fork


def test_an_error_is_one_command_whatever_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path).error("It failed", "100 %\n::set-env name=A::b")
    assert capsys.readouterr().out == "::error title=It failed::100 %25%0A::set-env name=A::b\n"
    Run.from_environment({}).error("It failed", "see the log")
    assert capsys.readouterr().out == "It failed: see the log\n"


def test_summaries_add_up_and_stay_below_the_limit(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.summarise("first")
    run.summarise("line\n" * 500_000)
    written = (tmp_path / "summary.md").read_text()
    assert written.startswith("first\nline\n")
    assert len(written) < SUMMARY_BYTES + 10


# --- a GitHub ---


@dataclass
class Service:
    """The part of GitHub's API that CI calls, with pages of two."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failing: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v3/repos/o/r/")
        self.calls.append(f"{request.method} {path}")
        if self.failing:
            return httpx.Response(self.failing, text="so it is")
        assert request.headers["Authorization"] == "Bearer the-run's-token"
        assert request.headers["X-GitHub-Api-Version"]
        body = json.loads(request.content or "null")
        listed = self.comments if "comments" in path else self.issues
        *_, last = path.split("/")
        if request.method == "GET":
            shown = [each for each in listed if each.get("state", "open") == "open"]
            page = int(request.url.params.get("page", 1))
            more = {"Link": f'<{request.url.copy_set_param("page", page + 1)}>; rel="next"'}
            return httpx.Response(
                200, json=shown[2 * page - 2 : 2 * page], headers=more if len(shown) > 2 * page else {}
            )
        if request.method == "POST":
            new = {"id": len(listed), "number": len(listed), "user": BOT, "on": path} | body
            listed.append(new)
            return httpx.Response(201, json=new)
        listed[int(last)].update(body)
        return httpx.Response(200, json=listed[int(last)])


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    monkeypatch.setattr(httpx, "HTTPTransport", lambda **_: httpx.MockTransport(service.answer))
    return service


def entry(number: int, body: str | None, user: dict[str, str] | None) -> dict[str, Any]:
    return {"id": number, "number": number, "body": body, "user": user, "state": "open"}


def test_a_comment_is_made_once_and_then_kept_up_to_date(tmp_path: Path, github: Service) -> None:
    github.comments = [entry(0, f"{PREVIEW}\nmine!", PERSON), entry(1, None, PERSON), entry(2, "by another bot", BOT)]
    with GitHub(run_of(tmp_path)) as ours:
        ours.comment(7, PREVIEW, "one")
        ours.comment(7, PREVIEW, "two")
    assert [each["body"] for each in github.comments[3:]] == [f"{PREVIEW}\ntwo"]
    assert github.comments[3]["on"] == "issues/7/comments"
    assert github.comments[0]["body"].endswith("mine!")


def test_an_issue_is_opened_kept_up_to_date_and_closed(tmp_path: Path, github: Service) -> None:
    github.issues = [entry(0, f"{DRIFT}\nmine!", PERSON), entry(1, f"{DRIFT}\nx", None), entry(2, "y", BOT)]
    with GitHub(run_of(tmp_path)) as ours:
        ours.close_issue(DRIFT, "nothing there")
        assert not any(call.startswith(("POST", "PATCH")) for call in github.calls)
        ours.open_issue(DRIFT, "prod drifted", "one")
        ours.open_issue(DRIFT, "prod drifted", "two")
        assert [each["body"] for each in github.issues[3:]] == [f"{DRIFT}\ntwo"]
        ours.close_issue(DRIFT, "gone")
        assert (github.issues[3]["state"], github.comments[0]["body"]) == ("closed", "gone")
        ours.open_issue(DRIFT, "prod drifted", "again")
    assert [each["state"] for each in github.issues[:4]] == ["open", "open", "open", "closed"]
    assert len(github.issues) == 5


def test_what_github_refuses_is_said_without_the_token(tmp_path: Path, github: Service) -> None:
    github.failing = 403
    with GitHub(run_of(tmp_path)) as ours, pytest.raises(StepError, match=r"answers 403 to GET .*: so it is") as error:
        ours.comment(7, PREVIEW, "one")
    assert "token" not in str(error.value)
    with pytest.raises(StepError, match="GITHUB_TOKEN is not set"):
        GitHub(run_of(tmp_path, GITHUB_TOKEN=""))


# --- a pulumi ---

SECRET = "a password that is long"
KEY = "-----BEGIN KEY-----\nthe second line of it\n-----END KEY-----"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes the `pulumi` of a test: it prints a text and ends with a code."""
    config = {
        "p:plain": {"value": "deploy-host", "secret": False},
        "p:password": {"value": SECRET, "secret": True},
        "p:hosts": {"value": "…", "objectValue": [{"address": "deploy-host", "key": KEY}], "secret": True},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "config:\n  p:plain: deploy-host\n  p:password: {secure: v1}\n"
        "  p:hosts:\n    - address: deploy-host\n      key: {secure: v1}\n"
    )
    monkeypatch.chdir(tmp_path)

    def make(text: str = DIFF, code: int = 0, then: str = "") -> None:
        (tmp_path / "text").write_text(text)
        program = tmp_path / "pulumi"
        program.write_text(
            f'#!/bin/sh\ncase "$1" in config) exec cat {tmp_path}/config.json ;; esac\n'
            f'echo "$*" >>{tmp_path}/asked\nenv >{tmp_path}/env\n{then}\ncat {tmp_path}/text\nexit {code}\n'
        )
        program.chmod(0o755)

    return make


def asked(tmp_path: Path) -> list[str]:
    """What `pulumi` was called with, without what every call has."""
    common = " --stack prod --diff --suppress-progress --color=never --non-interactive"
    return [line.removesuffix(common) for line in (tmp_path / "asked").read_text().splitlines()]


def test_secrets_are_hidden_wherever_and_however_they_are_printed(
    tmp_path: Path, cli: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    cli(f"on deploy-host: {SECRET}, {encoded}\n   the second line of it\nthe stack's passphrase, s3cret-of-the-db\n")
    run = run_of(tmp_path, PULUMI_BACKEND_URL="postgres://u:s3cret-of-the-db@host/state")
    outcome = Pulumi("prod", run.environment).run("preview")
    assert outcome.text == "on deploy-host: [secret], [secret]\n   [secret]\n[secret], [secret]\n"
    assert capsys.readouterr().out == outcome.text


def test_settings_that_cannot_be_read_end_a_step_before_anything(tmp_path: Path, cli: Callable[..., None]) -> None:
    cli()
    (tmp_path / "config.json").unlink()
    with pytest.raises(StepError, match="settings of the stack cannot be read"):
        Pulumi("organisation/prod", run_of(tmp_path).environment)


def test_a_program_is_not_given_the_token_of_the_run(tmp_path: Path, cli: Callable[..., None]) -> None:
    cli()
    Pulumi("prod", run_of(tmp_path).environment).run("preview")
    assert "the-run's-token" not in (tmp_path / "env").read_text()


def test_an_interrupt_reaches_pulumi_once_and_its_end_is_awaited(tmp_path: Path, cli: Callable[..., None]) -> None:
    waiting = "for _ in 1 2 3 4 5 6 7 8 9; do test $heard || { sleep 2 & wait; }; done"
    cli(then=f"trap 'echo interrupted; heard=yes' INT\necho started\n{waiting}; sleep 1 & wait", code=8)
    program = "import os, sys\nfrom ci.pulumi import Pulumi\nsys.exit(Pulumi('prod', os.environ).run('up').code)"
    step = subprocess.Popen(
        [sys.executable, "-u", "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE, start_new_session=True,
        env={**run_of(tmp_path).environment, "PYTHONPATH": str(ROOT)},
        # What runs in a shell's background ignores it, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert step.stdout
    assert step.stdout.readline() == "started\n"
    os.killpg(step.pid, signal.SIGINT)
    assert step.communicate(timeout=60)[0].splitlines()[:2] == ["interrupted", DIFF.splitlines()[0]]
    assert step.returncode == 8


# --- the steps ---


def test_preview_comments_what_would_change(tmp_path: Path, cli: Callable[..., None], github: Service) -> None:
    cli(f"{SECRET} ```\n" + "a line of the diff\n" * 9000 + DIFF)
    assert preview.preview(run_of(tmp_path)) == 0
    assert preview.preview(run_of(tmp_path)) == 0
    assert asked(tmp_path)[0] == "preview --policy-pack policies"
    [comment] = github.comments
    body = comment["body"]
    assert body.startswith(f"{PREVIEW}\n### `pulumi preview` of prod: 1 to update, 2 to replace")
    assert "For c0ffee, by [this run](https://github.example/o/r/actions/runs/99)." in body
    assert len(body.encode()) <= BODY_BYTES
    assert SECRET not in body
    assert body.endswith("27 unchanged\n````\n\n</details>")
    assert "1 to update" in (tmp_path / "summary.md").read_text()


def test_a_preview_that_fails_says_so_in_the_comment_too(
    tmp_path: Path, cli: Callable[..., None], github: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("error: the policy says no\n", code=1)
    assert preview.preview(run_of(tmp_path)) == 1
    assert "prod: **failed**" in github.comments[0]["body"]
    assert "error: the policy says no" in github.comments[0]["body"]
    assert "::error title=The preview of prod failed::" in capsys.readouterr().out


def test_nothing_is_previewed_or_said_for_a_fork(tmp_path: Path, cli: Callable[..., None], github: Service) -> None:
    cli()
    assert preview.preview(run_of(tmp_path, "mallory/r")) == 0
    assert github.calls == []
    assert not (tmp_path / "asked").exists()


def test_up_leaves_a_summary(tmp_path: Path, cli: Callable[..., None], github: Service) -> None:
    cli("Resources:\n    ~ 9 to update\n\n" + "Resources:\n    ~ 1 updated\n    29 unchanged\n\nDuration: 3s\n")
    assert up.up(run_of(tmp_path)) == 0
    assert asked(tmp_path) == ["up --yes --policy-pack policies"]
    assert (tmp_path / "summary.md").read_text().startswith("### `pulumi up` of prod: 1 updated, 29 unchanged\n\n```\n")
    assert github.calls == []


def test_up_fails_loudly(tmp_path: Path, cli: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    cli(f"error: the password {SECRET} is wrong\n", code=255)
    assert up.up(run_of(tmp_path)) == 255
    summary = (tmp_path / "summary.md").read_text()
    assert "### `pulumi up` of prod: **failed**" in summary
    assert "error: the password [secret] is wrong" in summary
    assert "::error title=prod is not as main says::" in capsys.readouterr().out


def test_drift_opens_one_issue_updates_it_and_closes_it(
    tmp_path: Path, cli: Callable[..., None], github: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path, GITHUB_EVENT_PATH="")
    cli("~ one port\n", code=DIFFERS)
    assert drift.drift(run) == DIFFERS
    assert asked(tmp_path) == ["refresh --preview-only --expect-no-changes --run-program"]
    assert "::error title=prod was changed by hand::" in capsys.readouterr().out
    cli("~ two ports\n", code=DIFFERS)
    assert drift.drift(run) == DIFFERS
    [issue] = github.issues
    assert issue["title"] == "prod was changed by hand"
    assert "~ two ports" in issue["body"]
    cli("error: the engine is out of reach\n", code=255)
    assert drift.drift(run) == 255
    cli("warning: flow prod/a could not be looked at: no answer\n")
    assert drift.drift(run) == 1
    assert "state" not in issue  # nobody knows, so it stays open
    cli("warning: who approves deployments to prod of desk was changed by hand; put it back\n")
    assert drift.drift(run) == DIFFERS
    assert "state" not in issue
    cli("Resources:\n    30 unchanged\n")
    assert drift.drift(run) == 0
    assert issue["state"] == "closed"
    assert drift.drift(run) == 0
    assert len(github.issues) == len(github.comments) == 1


def test_drift_knows_what_a_flow_says_that_was_left_out() -> None:
    assert drift.BLIND in (ROOT / "components/flow.py").read_text()


def test_a_person_runs_the_same_steps_and_github_hears_nothing(
    tmp_path: Path, cli: Callable[..., None], github: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("~ one port\n", code=DIFFERS)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "PULUMI_STACK": "prod"}
    run = Run.from_environment(environment)
    assert drift.drift(run) == DIFFERS
    assert preview.preview(run) == DIFFERS
    assert "prod was changed by hand: " in capsys.readouterr().out
    assert github.calls == []


def test_a_step_without_a_stack_or_of_no_such_name_is_refused() -> None:
    def step(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ci", *words],
            cwd=ROOT,
            text=True,
            capture_output=True,
            env={"HOME": "/"},
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert step("deploy") == (2, "usage: ci/step check|preview|up|drift\n")
    assert step("up") == (1, "up could not be done: PULUMI_STACK is not set: it names the stack, such as prod\n")


# --- the way to the engine ---


def test_the_key_is_in_an_agent_for_as_long_as_the_step_takes(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text("desk ssh-ed25519 AAAA\n")
    key = private_key()
    given = {**os.environ, "HOME": str(tmp_path), "DESK_SSH_KEY": key}
    with access({**given, "DESK_KNOWN_HOSTS": "desk ssh-ed25519 AAAA\nweb ssh-ed25519 BBBB\n"}) as environment:
        assert key not in environment.values()
        listed = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, text=True, check=True)
        assert listed.stdout.startswith("ssh-ed25519 ")
        socket = environment["SSH_AUTH_SOCK"]
    assert not Path(socket).exists()
    assert (tmp_path / ".ssh/known_hosts").read_text() == "desk ssh-ed25519 AAAA\nweb ssh-ed25519 BBBB\n"
    assert not any(key[40:80] in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_a_key_that_is_none_or_that_goes_to_an_unknown_host_is_refused(tmp_path: Path) -> None:
    given = {**os.environ, "HOME": str(tmp_path), "DESK_SSH_KEY": "hunter2 hunter2"}
    with pytest.raises(StepError, match="DESK_KNOWN_HOSTS is not set"), access(given):
        pass
    with pytest.raises(StepError, match="is not a private key") as error, access({**given, "DESK_KNOWN_HOSTS": "h k"}):
        pass
    assert "hunter2" not in str(error.value)


def test_a_workstation_s_own_keys_are_left_as_they_are(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": "/the/users"}
    with access(given) as environment:
        assert environment == given
    assert list(tmp_path.iterdir()) == []
