"""The edge's own log: which webhooks it let through, when, and how long it held each."""

import datetime
from dataclasses import dataclass

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
    wanted = (f"/webhook/prod/{flow}/", "hook=verified")
    found = [_read(line) for line in log.splitlines() if all(part in line for part in wanted)]
    if not found:
        raise LabError(f"the log of {name} has no verified delivery to {flow} since {since.isoformat()}")
    return found


def _read(line: str) -> Accepted:
    """Read a line of the format in haproxy.cfg.j2: its second word is the date, its seventh the timers."""
    words = line.split()
    began = datetime.datetime.strptime(words[1], "[%d/%b/%Y:%H:%M:%S.%f]").replace(tzinfo=datetime.UTC)
    # Head received, body received and verified, connected, Kestra's answer, all of it.
    head, queue, _, kestra, total = (float(each) for each in words[6].split("/"))
    return Accepted(accepted=began + (head + queue) * MILLISECOND, added=total - kestra)
