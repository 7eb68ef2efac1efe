"""What a bare machine lacks is installed from Debian's packages, or named."""

import os
from pathlib import Path

import pytest

from lab import cache, go
from lab.apt import packages
from lab.shell import LabError

APT_GET = r"""
echo "$*" >>"{machine}/asked"
test ! -e "{machine}/closed" || exit 100
test "$1" = install || exit 0
shift 3
test "$1" != golang-go || set go
printf '#!/bin/sh\necho go1.26.8\n' >"{machine}/bin/$1"
/bin/chmod +x "{machine}/bin/$1"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH but an apt-get that installs programs of the packages' names."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    put(tmp_path, "apt-get", APT_GET.format(machine=tmp_path))
    return tmp_path


def put(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def asked(machine: Path) -> list[str]:
    return (machine / "asked").read_text().splitlines()


def test_what_is_missing_is_installed_once(machine: Path) -> None:
    packages(trial="trial")
    assert asked(machine) == ["update", "install --yes --no-install-recommends trial"]
    packages(trial="trial")
    assert len(asked(machine)) == 2


def test_what_cannot_be_installed_is_told_with_the_command(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "closed").touch()
    with pytest.raises(LabError, match=r"could not install trial; as root, run: apt-get install .* trial"):
        packages(trial="trial")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="this machine lacks trial; install them, as with: sudo apt-get install"):
        packages(trial="trial")


@pytest.mark.parametrize(("candidate", "taken"), [("2:1.26~2", True), ("2:1.27-1", True), ("2:1.19~1", False)])
def test_go_is_debians_where_that_is_new_enough(machine: Path, candidate: str, taken: bool) -> None:
    put(machine, "apt-cache", f"echo golang-go:; echo '  Candidate: {candidate}'")
    (machine / "go.mod").write_text("module any\n\ngo 1.26.3\n")
    if taken:
        go.build("a trial", machine, "package", machine / "program")
        assert asked(machine)[-1] == "install --yes --no-install-recommends golang-go"
    else:
        with pytest.raises(LabError, match=r"a trial takes Go 1\.26; this machine has no such Go"):
            go.build("a trial", machine, "package", machine / "program")
        assert asked(machine) == ["update"]
