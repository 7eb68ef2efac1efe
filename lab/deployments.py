"""`make deployments`: what runs where, since when, and from which commit, as the servers themselves say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.desk import Desk, desk
from lab.paths import ROOT
from lab.shell import LabError
from lab.stack import NAME

HEAD = ("server", "commit", "since", "by", "images")
SILENT = "does not answer; the log of Kestra's flow `deployments` says why"


def deployments(env: Mapping[str, str], stack: str = NAME, project: Path = ROOT) -> None:
    """Print the table of a stack, the lab's or another one: Kestra asks, who alone has the key to the servers."""
    print(table(ask(desk(env, stack, project))))


def ask(running: Desk) -> dict[str, dict[str, Any] | None]:
    """Return server → what it says; None for one that does not answer."""
    with running.api() as api:
        started = api.post("/executions/prod/deployments").raise_for_status().json()
    ended = running.ended(started["id"], seconds=180)
    with running.api() as api:
        given = api.get(f"/outputs/executions/{ended['id']}").raise_for_status().json()
    if "hosts" not in given:
        raise LabError(f"Kestra's flow `deployments` ended as {ended['state']['current']}: {running.url} has its log")
    said = {each["item"]["value"]: each["outputs"]["status"] for each in given["hosts"]}
    return {server: said.get(server) for server in running.servers}


def table(found: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return it as lines, one for each server."""
    rows: list[Sequence[str]] = [HEAD]
    for server, status in found.items():
        if status is None:
            rows.append((server, SILENT))
        elif not status["commit"]:
            rows.append((server, "nothing is deployed"))
        else:
            images = ", ".join(f"{name} {tag}" for name, tag in sorted(status["images"].items()))
            rows.append((server, status["commit"][:12], status["at"], status.get("who") or "", images))
    whole = [row for row in rows if len(row) == len(HEAD)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(HEAD))]
    widths[0] = max(len(row[0]) for row in rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )
