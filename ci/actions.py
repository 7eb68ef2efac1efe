"""What GitHub Actions tells a step, and what a step tells a person: in the log, and in the run's summary."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ci.report import cut

SUMMARY_BYTES = 900_000
"""GitHub refuses a step's summary of more than 1 MiB."""


class StepError(Exception):
    """Something a step could not do, in words for whoever reads the run."""


@dataclass(frozen=True)
class Run:
    """The run a step is part of; outside Actions `environment` holds no GITHUB_…, and GitHub is told nothing."""

    environment: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Run":
        """Take what is set; a variable or secret that nobody has set is an empty one in Actions."""
        return cls({name: value for name, value in environment.items() if value})

    @property
    def stack(self) -> str:
        """The stack to work on."""
        if not (name := self.environment.get("PULUMI_STACK")):
            raise StepError("PULUMI_STACK is not set: it names the stack, such as prod")
        return name

    @property
    def repository(self) -> str:
        """Its owner/name."""
        return self.environment.get("GITHUB_REPOSITORY", "")

    @property
    def url(self) -> str:
        """The address of this run's log."""
        server, number = self.environment.get("GITHUB_SERVER_URL", ""), self.environment.get("GITHUB_RUN_ID", "")
        return f"{server}/{self.repository}/actions/runs/{number}"

    @cached_property
    def pull_request(self) -> dict[str, Any]:
        """The pull request this run is for, as in the event's payload; empty when it is for none."""
        if not (path := self.environment.get("GITHUB_EVENT_PATH")):
            return {}
        return dict(json.loads(Path(path).read_text()).get("pull_request") or {})

    @property
    def is_for_a_fork(self) -> bool:
        """Whether the code comes from somebody who may not write here: such a run is given no secrets."""
        head = self.pull_request.get("head", {}).get("repo") or {}  # none once the fork is deleted
        return bool(self.pull_request) and head.get("full_name") != self.repository

    def summarise(self, text: str) -> None:
        """Add Markdown to the run's page."""
        if path := self.environment.get("GITHUB_STEP_SUMMARY"):
            with Path(path).open("a") as summary:
                summary.write(cut(text, SUMMARY_BYTES) + "\n")

    def error(self, title: str, text: str) -> None:
        """Say on the run's page, beside its result, what went wrong."""
        if "GITHUB_ACTIONS" in self.environment:
            escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            print(f"::error title={title}::{escaped}", flush=True)
        else:
            print(f"{title}: {text}", flush=True)
