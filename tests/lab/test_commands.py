"""The commands of the Makefile and what a person meets when one ends early: run for real, beside nobody's desk."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab import shell
from lab.paths import ROOT
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
