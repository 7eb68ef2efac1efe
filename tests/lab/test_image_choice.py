"""Which image bears a reference: the official one as soon as it can be had, the lab's stand-in until then."""

import os
from pathlib import Path

import pytest

from lab import image_builder, refusals
from lab.cache import key

REFERENCE = "haproxy:3.4.7-alpine"
STAND_IN = key(image_builder.IMAGES / "haproxy", image_builder.IMAGES / "base")
DOCKER = """#!/bin/sh
# An engine that holds the image whose label is in the file `label`, and a registry that serves when there is `open`.
cd "$(dirname "$0")/.." || exit
case "$1" in
image) cat label 2>/dev/null ;;
pull) echo "$3" >>asked; test -e open && echo '[{"Config": {"Labels": null}}]' >label ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with that Docker and an empty cache, on which the stand-in has been built."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin/docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    (tmp_path / "label").write_text(f'[{{"Config": {{"Labels": {{"carica.lab": "{STAND_IN}"}}}}}}]')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(refusals, "CACHE", tmp_path)
    return tmp_path


def ready() -> str:
    return image_builder._ready("haproxy", REFERENCE).removeprefix(f"{REFERENCE}: ")


def asked(machine: Path) -> int:
    return len((machine / "asked").read_text().splitlines())


def test_the_official_image_takes_the_place_of_the_stand_in(machine: Path) -> None:
    (machine / "open").touch()
    assert ready() == "official, pulled"
    assert ready() == "official, present"
    assert asked(machine) == 1


def test_a_refusal_is_remembered_for_a_day(machine: Path) -> None:
    assert ready() == ready() == "the lab's stand-in (lab/images/haproxy)"
    assert asked(machine) == 1
    (refusal,) = machine.glob("refused-*")
    os.utime(refusal, (0, 0))
    (machine / "open").touch()
    assert ready() == "official, pulled"
