"""A desk that runs: its address and log-ins as the stack knows them, and calls of Kestra's API through the edge."""

import datetime
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lab.paths import ROOT
from lab.shell import LabError, run
from lab.stack import NAME, PROJECT

ENDED = {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED"}
"""States in which an execution stays."""


@dataclass(frozen=True)
class Desk:
    """What a client of the desk knows."""

    url: str
    user: str
    password: str = field(repr=False)
    webhook_urls: Mapping[str, str] = field(repr=False)
    webhook_secret: str = field(repr=False)
    ca: str = ""
    servers: tuple[str, ...] = ()

    @property
    def trust(self) -> ssl.SSLContext:
        """Trust in the CA that the stack names, or else in those of this machine."""
        return ssl.create_default_context(cadata=self.ca or None)

    def api(self) -> httpx.Client:
        """Return a client of Kestra's API, logged in; close it."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1/main",
            auth=(self.user, self.password),
            verify=self.trust,
            timeout=30,
            trust_env=False,
        )

    def execution(self, execution_id: str) -> dict[str, Any]:
        """Return an execution as Kestra's API shows it."""
        with self.api() as api:
            return dict(api.get(f"/executions/{execution_id}").raise_for_status().json())

    def ended(self, execution_id: str, seconds: float = 120) -> dict[str, Any]:
        """Return an execution once it has ended; raises LabError when it has not within `seconds`."""
        end = time.monotonic() + seconds
        execution: dict[str, Any] = {}
        with self.api() as api:
            while time.monotonic() < end:
                answer = api.get(f"/executions/{execution_id}")
                if answer.is_success:
                    execution = answer.json()
                    if execution["state"]["current"] in ENDED:
                        return execution
                time.sleep(0.1)
        state = execution.get("state", {}).get("current", "not there")
        raise LabError(f"execution {execution_id} is {state} after {seconds:.0f} s")

    def log(self, execution_id: str) -> list[str]:
        """Return the messages in an execution's log, and in those of the deployments that it started."""
        return [message for _, message in self.timed_log(execution_id)]

    def timed_log(self, execution_id: str) -> list[tuple[datetime.datetime, str]]:
        """Return the same, each with when Kestra got it."""
        lines = []
        with self.api() as api:
            for each in [execution_id, *(found["id"] for found in self.deployments(execution_id))]:
                lines += api.get(f"/logs/{each}").raise_for_status().json()
        timed = [(datetime.datetime.fromisoformat(line["timestamp"]), line["message"]) for line in lines]
        return sorted(timed, key=lambda line: line[0])

    def deployments(self, execution_id: str) -> list[dict[str, Any]]:
        """Return the deployments that an execution started, one for each server, in their order."""
        query: dict[str, str | int] = {"namespace": "prod", "flowId": "deploy", "size": 50}
        with self.api() as api:
            found = api.get("/executions", params=query).raise_for_status().json()["results"]
        label = {"key": "system.correlationId", "value": execution_id}
        return [each for each in reversed(found) if label in each["labels"] and each["id"] != execution_id]


def desk(env: Mapping[str, str], stack: str = NAME, project: Path = ROOT) -> Desk:
    """Return the desk of a stack that is up."""
    outputs = json.loads(
        run(
            "outputs", ["pulumi", "stack", "output", "--json", "--show-secrets", "--stack", stack], cwd=project, env=env
        )
    )
    if "url" not in outputs:
        raise LabError("the desk is not up: run `make up`")
    settings = json.loads(
        run("settings", ["pulumi", "config", "--json", "--show-secrets", "--stack", stack], cwd=project, env=env)
    )
    return Desk(
        url=outputs["url"],
        user=outputs["kestra_user"],
        password=settings[f"{PROJECT}:kestraPassword"]["value"],
        webhook_urls=outputs["webhook_urls"],
        webhook_secret=settings[f"{PROJECT}:webhookSecret"]["value"],
        ca=settings.get(f"{PROJECT}:tlsCa", {}).get("value", ""),
        servers=tuple(each["name"] for each in settings[f"{PROJECT}:deployHosts"]["objectValue"]),
    )
