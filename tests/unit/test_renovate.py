"""Renovate finds every version that stands where only a pattern can find it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lab.pulumi_plugins import VERSIONS
from lab.toolchain import VERSION

ROOT = Path(__file__).parent.parent.parent
IMAGES, CLI, PLUGIN, OCTOKIT = json.loads((ROOT / "renovate.json").read_text())["customManagers"]


def found(manager: dict[str, list[str]], file: str) -> list[dict[str, str | None]]:
    """Return the groups of each match in a file, as Renovate takes them."""
    assert any(re.search(pattern.strip("/"), file) for pattern in manager["managerFilePatterns"])
    patterns = [pattern.replace("(?<", "(?P<") for pattern in manager["matchStrings"]]
    text = (ROOT / file).read_text()
    return [match.groupdict() for pattern in patterns for match in re.finditer(pattern, text)]


@pytest.mark.parametrize("file", ["Pulumi.dev.yaml", "Pulumi.prod.yaml"])
def test_the_images_of_a_stack(file: str) -> None:
    settings = yaml.safe_load((ROOT / file).read_text())["config"]
    wanted = {value for key, value in settings.items() if key.endswith("Image")}
    assert len(wanted) == 3
    assert {f"{each['depName']}:{each['currentValue']}" for each in found(IMAGES, file)} == wanted


def test_an_image_with_a_digest() -> None:
    line = "  carica-kestra:haproxyImage: haproxy:3.4.7-alpine@sha256:" + "0" * 64
    match = re.search(IMAGES["matchStrings"][0].replace("(?<", "(?P<"), line)
    assert match
    assert match["currentValue"] == "3.4.7-alpine"
    assert match["currentDigest"] == "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "file", ["lab/toolchain.py", "lab/pulumi/language_host.py", ".github/actions/tools/action.yml"]
)
def test_the_version_of_the_cli(file: str) -> None:
    assert found(CLI, file) == [{"currentValue": VERSION}]


def test_the_versions_of_the_plugins() -> None:
    assert {each["depName"]: each["currentValue"] for each in found(PLUGIN, "lab/pulumi_plugins.py")} == VERSIONS


@pytest.mark.parametrize("file", ["lab/github_build.py", "lab/github/payloads.py", "tests/lab/test_github_hooks.py"])
def test_what_github_publishes_of_itself(file: str) -> None:
    (pinned,) = found(OCTOKIT, file)
    assert str(pinned["depName"]).startswith("@octokit/")
