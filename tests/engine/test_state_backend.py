"""State that several people share, as docs/state.md has it: in a real PostgreSQL, and behind a real S3 server."""

import getpass
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import go, stack
from lab.cache import cached
from lab.engine import engine
from lab.image_builder import images
from lab.toolchain import toolchain
from tests.estate import eventually, free_port
from tests.trial import Project

# Its commands tell of their beginning and their end, and last until a test lets them go.
PROGRAM = """
import pulumi
import pulumi_command as command

settings = pulumi.Config()
for number in range(4):
    command.local.Command(
        f"work-{number}",
        create='echo begin >>"$DESK/log"; until [ -e "$DESK/go" ]; do sleep 0.05; done; echo end >>"$DESK/log"',
        environment={"DESK": settings.require("desk"), "ROUND": settings.get("round") or "0"},
    )
pulumi.export("round", settings.get("round"))
pulumi.export("password", settings.get_secret("password"))
"""
SECRET = secrets.token_hex(16)
# The last ones are a lock that went away between being listed and being read.
REFUSED = "the stack is currently locked|NotFound|key not found|no rows in result set"
SERVER = Path(__file__).parent / "s3"


@dataclass(frozen=True)
class Backend:
    """Where state is, and what logs in there."""

    url: str
    environment: dict[str, str] = field(repr=False)


class Postgres:
    """A PostgreSQL server of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        image = stack.settings()["postgresImage"]
        images({"postgres": image})
        options = ["--detach", "--rm", "--user", "postgres", "--env", "POSTGRES_PASSWORD"]
        subprocess.run(
            ["docker", "run", *options, "--name", name, "--publish", f"127.0.0.1:{self.port}:5432", image],
            env={**os.environ, "POSTGRES_PASSWORD": SECRET}, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip

    def ready(self) -> bool:
        asked = ["docker", "exec", self.name, "pg_isready", "--quiet", "--host", "127.0.0.1"]
        return subprocess.run(asked, check=False).returncode == 0

    def empty(self) -> Backend:
        # The password is not in the URL, which the CLI keeps and shows.
        url = f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable&table=t{secrets.token_hex(3)}"
        return Backend(url, {"PGPASSWORD": SECRET})

    def session(self) -> "subprocess.Popen[str]":
        psql = ["psql", "--username", "postgres", "--no-align", "--tuples-only"]
        return subprocess.Popen(
            ["docker", "exec", "--interactive", self.name, *psql],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    engine()
    name = f"carica-test{secrets.token_hex(3)}-state"
    try:
        server = Postgres(name)
        eventually(server.ready)
        yield server
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], stdout=subprocess.DEVNULL, check=True)


class S3:
    """An S3 server of its own, over files."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.buckets, metadata = directory / "buckets", directory / "metadata"
        self.buckets.mkdir()
        metadata.mkdir()
        program = cached("versitygw", (SERVER / "go.mod", SERVER / "go.sum"), self._build) / "versitygw"
        self.process = subprocess.Popen(
            [program, "--quiet", "--port", f"127.0.0.1:{self.port}", "posix", "--sidecar", metadata, self.buckets],
            env={**os.environ, "ROOT_ACCESS_KEY": "desk", "ROOT_SECRET_KEY": SECRET}, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @staticmethod
    def _build(into: Path) -> None:
        go.build("building versitygw", SERVER, "github.com/versity/versitygw/cmd/versitygw", into / "versitygw")

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def empty(self) -> Backend:
        name = f"state-{secrets.token_hex(3)}"
        (self.buckets / name).mkdir()
        return Backend(
            f"s3://{name}?endpoint=http://127.0.0.1:{self.port}&region=us-east-1&use_path_style=true",
            {"AWS_ACCESS_KEY_ID": "desk", "AWS_SECRET_ACCESS_KEY": SECRET},
        )


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    server = S3(tmp_path_factory.mktemp("s3"))
    try:
        eventually(server.ready)
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return toolchain().environment


class Desk:
    """Two people with a checkout each, and one stack."""

    def __init__(self, directory: Path, environment: dict[str, str], backend: Backend) -> None:
        self.directory = directory
        env = {**environment, **backend.environment}
        first = directory / "first"
        first.mkdir()
        self.first = Project(first, env, backend.url)
        self.first.program(PROGRAM)
        assert self.first.pulumi("config", "set", "desk", str(directory))[0] == 0
        assert self.first.pulumi("config", "set", "--secret", "password", stdin="planted")[0] == 0
        shutil.copytree(first, directory / "second", symlinks=True)
        self.second = Project(directory / "second", env, backend.url)

    def log(self) -> list[str]:
        file = self.directory / "log"
        return file.read_text().splitlines() if file.exists() else []

    def go(self) -> None:
        (self.directory / "go").touch()

    def round(self, number: str) -> None:
        """Have the next `up` do its work again."""
        for each in (self.first, self.second):
            assert each.pulumi("config", "set", "round", number)[0] == 0
        (self.directory / "log").unlink(missing_ok=True)

    def expect_one_at_most(self, both: "list[subprocess.Popen[str]]") -> None:
        """Fail if of two an `up` did not end well and was not refused either, or if both did the work."""
        for process in both:
            shown, _ = process.communicate(timeout=120)
            assert process.returncode == 0 or re.search(REFUSED, shown), shown
        assert self.log().count("begin") <= 4

    def up_that_lasts(self) -> "subprocess.Popen[str]":
        """Start the first one's `up`, which lasts until `go`."""
        process = self.first.start("up", "--yes", "--skip-preview")
        eventually(self.log)
        return process


@pytest.fixture
def desk_in(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[[Backend], Desk]]:
    yield lambda backend: Desk(tmp_path, environment, backend)
    (tmp_path / "go").touch()


@pytest.fixture(params=["postgres", "s3"])
def desk(request: pytest.FixtureRequest, desk_in: Callable[[Backend], Desk]) -> Desk:
    return desk_in(request.getfixturevalue(request.param).empty())


def test_an_up_is_refused_while_another_one_runs(desk: Desk) -> None:
    running = desk.up_that_lasts()
    code, shown = desk.second.pulumi("up", "--yes", "--skip-preview")
    assert code != 0
    assert "the stack is currently locked by 1 lock(s)" in shown
    assert f"created by {getpass.getuser()}@{socket.gethostname()} (pid {running.pid})" in shown
    assert "`pulumi cancel`" in shown
    assert SECRET not in shown
    code, shown = desk.second.pulumi("destroy", "--yes", "--skip-preview")
    assert code != 0
    assert "currently locked" in shown
    code, shown = desk.second.pulumi("preview")
    assert code == 0, shown  # looking is not refused

    desk.go()
    shown, _ = running.communicate(timeout=60)
    assert running.returncode == 0, shown
    assert desk.log().count("end") == 4
    desk.second.expect_no_changes()
    assert "5 unchanged" in desk.second.up()
    assert desk.log().count("end") == 4


def test_ups_that_start_together_never_both_run(desk: Desk) -> None:
    desk.go()
    for number in ("1", "2", "3"):
        desk.round(number)
        both = [each.start("up", "--yes", "--skip-preview") for each in (desk.first, desk.second)]
        desk.expect_one_at_most(both)
        desk.first.up()
        desk.second.expect_no_changes()
        assert desk.log().count("end") == 4
        assert desk.second.pulumi("stack", "output", "round")[1].strip() == number


def test_ups_that_lock_in_the_same_moment_never_both_run(
    postgres: Postgres, desk_in: Callable[[Backend], Desk]
) -> None:
    # Both have seen no lock and write their own: held here by a lock on the table, then let go together.
    backend = postgres.empty()
    desk = desk_in(backend)
    desk.go()
    desk.first.up()
    desk.round("1")
    table = backend.url.rpartition("=")[2]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted;\n"
    with postgres.session() as session:
        assert session.stdin and session.stdout
        session.stdin.write(f"BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE;\n")
        assert [session.stdout.readline() for _ in range(2)] == ["BEGIN\n", "LOCK TABLE\n"]
        both = [each.start("up", "--yes", "--skip-preview") for each in (desk.first, desk.second)]

        def both_wait() -> bool:
            assert session.stdin and session.stdout
            session.stdin.write(waiting)
            return session.stdout.readline() == "2\n"

        eventually(both_wait)
        session.stdin.write("COMMIT;\n")
        session.stdin.close()
        desk.expect_one_at_most(both)
    desk.first.up()
    desk.second.expect_no_changes()
    assert desk.log().count("end") == 4


def test_the_lock_of_an_up_that_was_killed_is_cancelled(desk: Desk) -> None:
    running = desk.up_that_lasts()
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    code, shown = desk.second.pulumi("up", "--yes", "--skip-preview")
    assert code != 0
    assert "the stack is currently locked by 1 lock(s)" in shown
    desk.go()
    code, shown = desk.second.pulumi("cancel", "--yes")
    assert code == 0, shown
    shown = desk.second.up()
    assert "work-0, interrupted while creating" in shown  # it does not know what became of it, and says so every time
    code, shown = desk.second.pulumi("refresh", "--yes", "--skip-preview", "--clear-pending-creates")
    assert code == 0, shown
    assert "warning" not in desk.first.up()
    desk.second.expect_no_changes()


def test_a_stack_moves_with_its_secrets(desk: Desk, environment: dict[str, str], tmp_path: Path) -> None:
    desk.go()
    before = Project(desk.first.directory, environment, f"file://{tmp_path}")
    before.init()
    before.up()
    assert before.pulumi("stack", "export", "--file", "moved.json")[0] == 0
    assert "planted" not in (desk.first.directory / "moved.json").read_text()

    code, shown = desk.first.pulumi("stack", "import", "--file", "moved.json")
    assert code == 0, shown
    desk.second.expect_no_changes()
    assert desk.second.resources().keys() == before.resources().keys()
    shown = desk.second.pulumi("stack", "output", "--json", "--show-secrets")[1]
    assert json.loads(shown)["password"] == "planted"
