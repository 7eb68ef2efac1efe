"""The real Kestra behind the edge under attack: the desk's, with flows that any webhook call starts."""

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from tests.estate import Estate

NAMESPACE = "tests.edge"
FLOWS = ("target", "slow")
"""What the table delivers to, and Kestra takes; other flows of the table are not there."""

TASK = {"id": "nothing", "type": "io.kestra.plugin.core.debug.Return", "format": "x"}
TRIGGER = {"id": "any", "type": "io.kestra.plugin.core.trigger.Webhook", "key": "{{ secret('WEBHOOK_KEY') }}"}


def address(desk: Estate) -> tuple[str, int]:
    """Return where Kestra answers, edge or not."""
    networks = desk.inspect("kestra")["NetworkSettings"]["Networks"]
    return str(networks[f"{desk.prefix}-kestra-web"]["IPAddress"]), 8080


def login(desk: Estate) -> str:
    """Return the right log-in, as Authorization has it."""
    packed = f"{desk.desk.user}:{desk.desk.password}".encode()
    return f"Basic {base64.b64encode(packed).decode()}"


@contextlib.contextmanager
def flows(desk: Estate) -> Iterator[None]:
    """Have the flows in Kestra until the end of the block."""
    with desk.desk.api() as api:
        for flow in FLOWS:
            source = yaml.safe_dump({"id": flow, "namespace": NAMESPACE, "tasks": [TASK], "triggers": [TRIGGER]})
            api.post("/flows", content=source, headers={"Content-Type": "application/x-yaml"}).raise_for_status()
        try:
            yield
        finally:
            for flow in FLOWS:
                api.delete(f"/flows/{NAMESPACE}/{flow}").raise_for_status()


def executions(desk: Estate, flow: str = FLOWS[0]) -> int:
    """Return how many executions Kestra has started of a flow."""
    with desk.desk.api() as api:
        found: Any = api.get("/executions", params={"namespace": NAMESPACE, "flowId": flow}).raise_for_status().json()
        return int(found["total"])
