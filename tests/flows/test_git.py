"""The two flows that speak to Git, run to their end against the lab's GitHub on the desk's own network."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import github
from tests.estate import Estate
from tests.flows.test_flows import FLOWS, KESTRA, started
from tests.lab.hub import git

FILES = {file.name: file.read_text() for file in sorted(FLOWS.glob("*.yml"))}
NAMES = {name.removesuffix(".yml") for name in FILES}
DEFAULT = "Flows as edited in Kestra"


@dataclass(frozen=True)
class Repository:
    """The estate's repository at the lab's GitHub, and the desk that reads and pushes it."""

    desk: Estate
    hub: github.Client
    url: str = field(repr=False)

    def commit(self, name: str, text: str | None) -> None:
        """Commit a flow's file to main and push it, as a developer does; None removes it."""
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            git("clone", "--quiet", self.url, folder)
            file = work / "flows" / name
            file.unlink() if text is None else file.write_text(text)
            git("add", "--all", cwd=work)
            git("commit", "--quiet", "--message", "A change", cwd=work)
            git("push", "--quiet", "origin", "main", cwd=work)

    def commits(self) -> dict[str, str]:
        """Branch → the commit it is at."""
        listed = [line.split() for line in git("ls-remote", "--heads", self.url).splitlines()]
        return {name.removeprefix("refs/heads/"): commit for commit, name in listed}

    def source(self, flow: str) -> str:
        """A flow as Kestra has it."""
        with self.desk.desk.api() as api:
            return str(api.get(f"/flows/prod/{flow}?source=true").raise_for_status().json()["source"])

    def store(self, flow: str, text: str) -> None:
        """Store a flow as the editor does."""
        with self.desk.desk.api() as api:
            there = api.get(f"/flows/prod/{flow}").status_code == 200
            api.request(
                "PUT" if there else "POST",
                f"/flows/prod/{flow}" if there else "/flows",
                content=text,
                headers={"Content-Type": "application/x-yaml"},
            ).raise_for_status()

    def revisions(self) -> dict[str, int]:
        """Flow → its revision in Kestra."""
        with self.desk.desk.api() as api:
            flows = api.get("/flows/search?namespace=prod&size=50").raise_for_status().json()["results"]
        return {each["id"]: each["revision"] for each in flows}

    def push(self, branch: str) -> None:
        """Run push_to_git as a person does in the UI."""
        with self.desk.desk.api() as api:
            given = {"branch": (None, branch), "message": (None, "From a test")}
            execution = api.post("/executions/prod/push_to_git", files=given).raise_for_status().json()["id"]
        self.succeeds(execution)

    def sync(self) -> None:
        """Wait for what the desk does about the last push to main, of which GitHub has told it."""
        delivery = self.hub.delivery_of(KESTRA, self.commits()["main"])
        assert delivery["status_code"] == 200, delivery
        self.succeeds(json.loads(delivery["response"]["payload"])["id"])

    def sync_again(self) -> None:
        """The same, for a delivery of which nothing new comes."""
        execution = started(self.desk, "sync_from_git", "push", github.push(KESTRA, self.commits()["main"]))
        assert execution
        self.succeeds(execution)

    def succeeds(self, execution: str) -> None:
        """Wait for its end; its log says why when it did not succeed."""
        state = self.desk.desk.ended(execution)["state"]["current"]
        assert state == "SUCCESS", self.desk.desk.log(execution)


@pytest.fixture(scope="module")
def seeded(desk: Estate) -> Repository:
    """One with the flows on main, which the desk's token may read and push."""
    desk.github.commit(KESTRA, {f"flows/{file}": text for file, text in FILES.items()}, quietly=True)
    address = desk.github.url.removeprefix("http://")
    return Repository(desk, desk.github, f"http://kestra:{desk.setting('kestraGitToken')}@{address}/{KESTRA}")


@pytest.fixture
def repository(seeded: Repository) -> Iterator[Repository]:
    """It, and the desk, which both have the flows as the code says, before and after."""
    yield seeded
    seeded.hub.commit(KESTRA, {f"flows/{name}": text for name, text in FILES.items()}, quietly=True)
    for name, text in FILES.items():
        seeded.store(name.removesuffix(".yml"), text)


def test_flows_edited_in_kestra_get_to_main_through_a_branch_and_come_back(
    repository: Repository, tmp_path: Path
) -> None:
    before = repository.commits()
    edited = FILES["push_to_git.yml"].replace(DEFAULT, "edited in the UI")
    repository.store("push_to_git", edited)
    repository.push("edits")
    after = repository.commits()
    assert set(after) == {*before, "kestra/edits"}
    assert after["main"] == before["main"]

    git("clone", "--quiet", repository.url, str(tmp_path / "work"))
    changed = git("diff", "--name-status", "origin/main", "origin/kestra/edits", cwd=tmp_path / "work")
    assert changed.splitlines() == ["M\tflows/push_to_git.yml"]  # no file is renamed, added or deleted
    assert git("show", "origin/kestra/edits:flows/push_to_git.yml", cwd=tmp_path / "work") == edited
    assert git("log", "-1", "--format=%s", "origin/kestra/edits", cwd=tmp_path / "work").strip() == "From a test"

    git("push", "--quiet", "origin", "origin/kestra/edits:refs/heads/main", cwd=tmp_path / "work")
    revisions = repository.revisions()
    repository.sync()
    assert repository.source("push_to_git") == edited
    assert repository.revisions() == revisions


def test_a_push_without_an_edit_makes_no_branch(repository: Repository) -> None:
    before = repository.commits()
    repository.push("nothing")
    assert repository.commits() == before


def test_an_edit_in_git_gets_to_kestra_and_touches_no_other_flow(repository: Repository) -> None:
    before = repository.revisions()
    edited = FILES["push_to_git.yml"].replace(DEFAULT, "edited in Git")
    repository.commit("push_to_git.yml", edited)
    repository.sync()
    assert repository.source("push_to_git").strip() == edited.strip()
    assert repository.revisions() == {**before, "push_to_git": before["push_to_git"] + 1}


def test_a_flow_that_is_deleted_in_git_is_deleted_in_kestra(repository: Repository) -> None:
    repository.commit("push_to_git.yml", None)
    repository.sync()
    assert set(repository.revisions()) == NAMES - {"push_to_git"}
    repository.commit("push_to_git.yml", FILES["push_to_git.yml"])
    repository.sync()
    assert set(repository.revisions()) == NAMES


def test_a_sync_with_nothing_new_touches_no_revision(repository: Repository) -> None:
    before = repository.revisions()
    repository.sync_again()
    assert repository.revisions() == before


def test_an_invalid_flow_in_git_fails_the_sync_and_the_old_one_stays(repository: Repository) -> None:
    repository.commit("push_to_git.yml", FILES["push_to_git.yml"].replace("commitMessage:", "comitMessage:"))
    before = repository.revisions()
    with pytest.raises(AssertionError, match="comitMessage"):
        repository.sync()
    assert repository.revisions() == before
    assert repository.source("push_to_git") == FILES["push_to_git.yml"]
