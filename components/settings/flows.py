"""The flows that come with the project, and which events of GitHub's start them."""

import re
from functools import cache
from pathlib import Path

import yaml

FLOWS = Path(__file__).resolve().parent.parent.parent / "flows"
WEBHOOK = "io.kestra.plugin.core.trigger.Webhook"


def names() -> list[str]:
    """Return the names of all flows."""
    return sorted(path.stem for path in FLOWS.glob("*.yml"))


@cache
def calls(flow: str) -> frozenset[str]:
    """Return the flows that a flow starts as a part of itself."""
    return frozenset(re.findall(r"^ +flowId: (\S+)$", (FLOWS / f"{flow}.yml").read_text(), re.MULTILINE))


@cache
def events(flow: str) -> tuple[str, ...]:
    """Return the events a flow wants by webhook: its webhook triggers bear their names. None: it is started by hand."""
    triggers = yaml.safe_load((FLOWS / f"{flow}.yml").read_text()).get("triggers", [])
    return tuple(each["id"] for each in triggers if each["type"] == WEBHOOK)
