"""GitHub in the lab: what it sends (payloads), and the handle on the one that runs (client)."""

from lab.github.client import Client, Repository
from lab.github.payloads import Delivery, Payload, example, push, signature, workflow_run

__all__ = ["Client", "Delivery", "Payload", "Repository", "example", "push", "signature", "workflow_run"]
