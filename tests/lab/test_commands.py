"""The commands of the Makefile and what a person meets when one ends early: run for real, beside nobody's desk."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import shell
from lab.apt import which
from lab.paths import CACHE, ROOT
from lab.pulumi_plugins import VERSIONS
from lab.toolchain import toolchain
from tests.estate import eventually

SLOW = """
import time
import pulumi.dynamic

class Slow(pulumi.dynamic.ResourceProvider):
    def create(self, props):
        open("begun", "w").close()
        time.sleep(3)
        return pulumi.dynamic.CreateResult("1", {})

class Slept(pulumi.dynamic.Resource):
    def __init__(self, name, **options):
        super().__init__(Slow(), name, {}, pulumi.ResourceOptions(**options))

first = Slept("first")
Slept("second", depends_on=[first])
"""
FOLLOW = """
import sys
from pathlib import Path
from lab import __main__ as lab
lab.COMMANDS = {"up": lambda: lab.follow(["pulumi", "up", "--yes", "--skip-preview"], cwd=Path.cwd(), env={})}
sys.exit(lab.main(["up"]))
"""
RUN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from lab import __main__ as lab

def two():
    with ThreadPoolExecutor() as pool:
        for _ in range(2):
            pool.submit(lab.run, "nothing", ["sh", "-c", "echo begun >>begun; sleep 60"])

lab.COMMANDS = {"up": two}
sys.exit(lab.main(["up"]))
"""
DOCKER = """#!/bin/sh
echo "$*" >>{asked}
case "$1" in
version | image | build | pull | import) exec {real} "$@" ;;
ps) echo a-container ;;
esac
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What finds the CLI."""
    return {**os.environ, **toolchain().environment, "PULUMI_CONFIG_PASSPHRASE": "x"}


def interrupted(program: str, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a program of the lab, press Ctrl-C once its work has begun; return its exit code and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=cwd, env={**env, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    eventually((cwd / "begun").exists)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def test_ctrl_c_lets_pulumi_finish_what_is_under_way_and_unlock(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: trial\nruntime: {name: python, options: {virtualenv: .venv}}\nbackend: {url: 'file://.'}\n"
    )
    (tmp_path / "__main__.py").write_text(SLOW)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    subprocess.run(["pulumi", "stack", "init", "only"], cwd=tmp_path, env=environment, check=True)

    code, said = interrupted(FOLLOW, tmp_path, environment)
    assert code == 130
    assert said.endswith("\n\ninterrupted; `make up` goes on from here\n")
    assert "Traceback" not in said
    again = subprocess.run(
        ["pulumi", "up", "--yes", "--skip-preview", "--color", "never"], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout
    assert "+ 1 created" in again.stdout  # the second: the first was finished and recorded


def test_ctrl_c_ends_what_runs_in_other_threads_too(tmp_path: Path) -> None:
    code, said = interrupted(RUN, tmp_path, os.environ)
    assert code == 130
    assert said == "\ninterrupted; `make up` goes on from here\n"


def test_a_missing_program_is_told_in_a_line(tmp_path: Path) -> None:
    said = "this machine has no such-a-program"
    with pytest.raises(shell.LabError, match=f"^a trial: {said}"):
        shell.run("a trial", ["such-a-program"])
    with pytest.raises(shell.LabError, match=said):
        shell.follow(["such-a-program"], cwd=tmp_path, env={})


# --- the commands, in a checkout of their own ---


class Checkout:
    """A clone of this project with the code as it stands, whose keys and stacks are its own."""

    def __init__(self, directory: Path) -> None:
        self.root, self.state = directory / "clone", directory / "somebody's state"
        self.env = {**os.environ, "CARICA_STATE": str(self.state), "NO_COLOR": "1"}
        subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, self.root], check=True)
        (self.root / ".venv").symlink_to(sys.prefix)

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        """Run a program there; return its exit code, its output and what it says beside it."""
        done = subprocess.run(
            words, cwd=self.root, env={**self.env, **more}, text=True, capture_output=True, timeout=300, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def lab(self, *words: str, **more: str) -> tuple[int, str, str]:
        return self.run(sys.executable, "-m", "lab", *words, **more)

    def pulumi(self, words: str) -> tuple[int, str]:
        """Run a line of shell as a person does who has evaluated `make env`."""
        code, said, errors = self.run("sh", "-c", f'eval "$({sys.executable} -m lab env)" && {words}')
        return code, said + errors


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def no_desk(tmp_path: Path) -> Mapping[str, str]:
    """An environment whose `docker` shows the real engine and images, but neither sees nor touches containers.

    So a desk that runs on this machine is left alone. What was asked of it is in the file `asked`.
    """
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(real=which("docker"), asked=tmp_path / "asked"))
    docker.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_an_unknown_word_is_answered_with_the_usage(checkout: Checkout) -> None:
    usage = "usage: python -m lab up|down|env|demo|deployments|password\n"
    assert checkout.lab("upp") == checkout.lab() == checkout.lab("up", "down") == (2, "", usage)


def test_env_sets_what_plain_pulumi_needs(checkout: Checkout) -> None:
    code, shown, said = checkout.lab("env")
    assert code == 0
    assert all(line.startswith("export ") for line in shown.splitlines())
    assert f"PULUMI_BACKEND_URL='file://{checkout.state}/backend'".replace("'s", "'\"'\"'s") in shown
    assert re.search(r"^  pulumi .*: official", said, re.MULTILINE)
    assert {found for found in re.findall(r"^  plugin (\w+)", said, re.MULTILINE)} == set(VERSIONS)
    assert checkout.pulumi("pulumi stack --show-name")[1].startswith("dev\n")


def test_password_shows_the_login(checkout: Checkout) -> None:
    made = json.loads((checkout.state / "secrets.json").read_text())["kestraPassword"]
    assert checkout.lab("password")[:2] == (0, f"admin@example.com\n{made}\n")


def test_demo_wants_a_desk_that_is_up(checkout: Checkout) -> None:
    code, _, said = checkout.lab("demo")
    assert (code, said.splitlines()[-1]) == (1, "the desk is not up: run `make up`")


def test_up_says_of_each_part_what_it_is_and_starts_nothing_for_bad_settings(
    checkout: Checkout, no_desk: Mapping[str, str], tmp_path: Path
) -> None:
    assert checkout.pulumi("pulumi config set kestraUser nobody")[0] == 0
    code, _, said = checkout.lab("up", **no_desk)
    assert checkout.pulumi("pulumi config set kestraUser admin@example.com")[0] == 0
    assert code == 1
    assert "kestraUser is not an e-mail address" in said
    assert not re.search("^(run|rm|network|volume) ", (tmp_path / "asked").read_text(), re.MULTILINE)
    for part in ("Docker engine", "pulumi", "plugin docker", "postgres:", "haproxy:", "kestra/kestra:"):
        assert len(re.findall(f"^  {part}", said, re.MULTILINE)) == 1, part


def test_down_of_a_fresh_checkout_takes_nothing_apart_and_says_what_is_kept(
    tmp_path: Path, no_desk: Mapping[str, str]
) -> None:
    fresh = Checkout(tmp_path)
    code, shown, said = fresh.lab("down", **no_desk)
    assert code == 0, said
    assert "rm --force --volumes carica-lab-deploy-host" in (tmp_path / "asked").read_text()
    assert f"keys, secrets, state   {fresh.state}, and encrypted in Pulumi.dev.yaml\n" in shown
    assert f"builds, downloads      {CACHE}\n" in shown

    # As it says at the end, but for the cache, which is everybody's.
    advice = shown.splitlines()[-1].partition(": ")[2]
    assert fresh.run("sh", "-c", advice.replace(f" {CACHE} ", " "))[0] == 0
    assert not fresh.state.exists()
    assert fresh.lab("env")[0] == 0


def test_a_virtual_environment_of_another_making_is_left_alone(tmp_path: Path) -> None:
    other = Checkout(tmp_path)
    (other.root / ".venv").unlink()
    (other.root / ".venv").mkdir()
    code, _, said = other.run("make", ".venv")
    assert code != 0
    assert "there is another: move it away" in said
    assert list((other.root / ".venv").iterdir()) == []
    (other.root / ".venv").rmdir()
    (other.root / ".venv").symlink_to("/nowhere")
    assert other.run("make", ".venv")[0] == 0
    assert (other.root / ".venv/bin/python").exists()


MISSING = ("kestraPassword", "webhookSecret", "postgresPassword")


@pytest.mark.parametrize(
    "command", ["pulumi preview --stack dev", "env -u PULUMI_OPTION_SKIP_CONFIG_VALIDATION ci/step preview"]
)
def test_every_missing_secret_is_told_at_once_with_its_command(checkout: Checkout, command: str) -> None:
    # `make env` sets what is missing.
    code, said = checkout.pulumi(f"for k in {' '.join(MISSING)}; do pulumi config rm $k; done; {command}")
    assert code != 0
    assert f"the stack's settings have {len(MISSING)} problems; nothing was changed" in said
    for key in MISSING:
        assert f"carica-kestra:{key} is not set" in said
        assert f"| pulumi config set --secret 'carica-kestra:{key}' --stack dev" in said
    assert '"custom": true' not in checkout.pulumi("pulumi stack export")[1]
