"""The edge's own log: which webhooks it let through, when, and how long it held each."""

import datetime
import json
from dataclasses import dataclass
from typing import Any

from lab.shell import LabError, run

MILLISECOND = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True)
class Accepted:
    """A delivery whose signature the edge verified and that Kestra answered."""

    accepted: datetime.datetime
    """When the edge handed it to Kestra."""
    added: float
    """Milliseconds from its first byte to the answer's last, less Kestra's own."""


def accepted(stack: str, since: datetime.datetime, flow: str = "gh_push_deployment") -> list[Accepted]:
    """Return the deliveries to `flow` that came through after `since`, in their order.

    Raises LabError when there is none.
    """
    name = f"carica-{stack}-haproxy"
    log = run("the edge's log", ["docker", "logs", "--since", since.isoformat(), name])
    found = [
        _read(each)
        for each in entries(log)
        if each["verdict"] == "verified" and f"/webhook/prod/{flow}/" in each["path"]
    ]
    if not found:
        raise LabError(f"the log of {name} has no verified delivery to {flow} since {since.isoformat()}")
    return found


def entries(log: str) -> list[dict[str, Any]]:
    """Return the requests in a log; HAProxy's own notices stand between them."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def _read(entry: dict[str, Any]) -> Accepted:
    """Read an entry of the format in haproxy.cfg.j2."""
    began = datetime.datetime.fromisoformat(entry["at"])
    handed_over = began + (entry["head"] + entry["held"]) * MILLISECOND
    return Accepted(accepted=handed_over, added=float(entry["total"] - entry["kestra"]))
