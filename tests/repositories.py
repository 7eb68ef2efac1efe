"""A stack that is about repositories only: the part of the real program, with the real plugin and the lab's GitHub."""

import json
from pathlib import Path
from typing import Any

from lab.github import Client
from lab.github_host import ADMINISTERS
from lab.paths import ROOT
from lab.toolchain import toolchain
from tests.trial import Project
from tests.unit.valid import private_key, values

PROGRAM = """
# The part of the real program that is about GitHub, with settings from a file.
import json
import pathlib
from types import SimpleNamespace

import pulumi

from components import given
from components.github import access
from components.repository import Repository
from components.settings import parse

chosen = json.loads(pathlib.Path("settings.json").read_text())
settings = parse(chosen, set(chosen))
found = access.look(settings)
on_github = pulumi.ResourceOptions(provider=access.provider(settings))
edge = SimpleNamespace(ready=[])
for each in settings.repositories:
    Repository(each.name, given.to_repository(settings, each, found, edge, []), on_github)
"""
TOKEN = "t" * 40


class Stack(Project):
    """A stack that is about repositories only."""

    github: Client
    chosen: dict[str, Any]

    def choose(self, **changed: Any) -> None:
        """Take otherwise valid settings with `changed`, on top of what was chosen before."""
        self.chosen |= changed
        (self.directory / "settings.json").write_text(json.dumps(values(**self.chosen)))

    def failing_up(self, *words: str) -> str:
        """Run `pulumi up`, which must fail; return what it says."""
        code, shown = self.pulumi("up", "--yes", *words)
        assert code != 0, shown
        assert "Traceback" not in shown
        return shown

    def refresh_finds_nothing(self) -> None:
        code, shown = self.pulumi("refresh", "--preview-only", "--diff", "--expect-no-changes")
        assert code == 0, shown

    def known(self, name: str) -> dict[str, Any]:
        """What GitHub remembers of a repository."""
        return self.github.repository(f"centaurin/{name}")

    def hooks(self, name: str) -> list[dict[str, Any]]:
        return list(self.known(name)["hooks"].values())

    def keys(self, name: str) -> list[dict[str, Any]]:
        """The deploy keys of a repository."""
        with self.github.api(TOKEN) as api:
            return list(api.get(f"/repos/centaurin/{name}/keys").raise_for_status().json())

    def reviewers(self, name: str, environment: str) -> set[str]:
        """The kinds of those who approve deployments to an environment."""
        with self.github.api(TOKEN) as api:
            shown = api.get(f"/repos/centaurin/{name}/environments/{environment}").raise_for_status().json()
        rules = [rule for rule in shown["protection_rules"] if rule["type"] == "required_reviewers"]
        return {each["type"] for rule in rules for each in rule["reviewers"]}

    def rulesets(self, name: str) -> list[dict[str, Any]]:
        with self.github.api(TOKEN) as api:
            listed = api.get(f"/repos/centaurin/{name}/rulesets").raise_for_status().json()
            return [api.get(f"/repos/centaurin/{name}/rulesets/{each['id']}").json() for each in listed]


def empty_stack(directory: Path, github: Client) -> Stack:
    """Return one in which nothing is declared yet, at a GitHub that is emptied."""
    github.reset()
    github.token(ADMINISTERS, token=TOKEN)
    # What a person's environment, or a runner's, may hold must not matter.
    stray = {"GITHUB_TOKEN": "stray", "GITHUB_BASE_URL": "http://127.0.0.1:9/"}
    made = Stack(directory, toolchain().environment | stray)
    for part in ("components", "flows"):
        (directory / part).symlink_to(ROOT / part)
    made.program(PROGRAM)
    made.github, made.chosen = github, {}
    made.choose(githubUrl=github.url, githubWriteDelay="0", deployGitKey=private_key())
    return made
