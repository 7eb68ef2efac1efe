"""What the parts of the lab's GitHub share: its state, the description, its addresses and the deliveries."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .description import Description
from .misbehaviour import Misbehaviour
from .objects import Objects
from .store import Store

if TYPE_CHECKING:
    from .deliveries import Courier


@dataclass
class Server:
    """One of each."""

    store: Store
    description: Description
    objects: Objects
    courier: "Courier"
    host_keys: list[str]
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)
    calls: dict[str, int] = field(default_factory=dict)
    inbox: dict[str, list[Any]] = field(default_factory=dict)
    """What was told to the chat that stands beside it, by key."""

    def violation(self, where: str, problems: list[str]) -> None:
        """Record that somebody, caller or lab, did not keep to the description."""
        with self.store.lock:
            self.store.state.violations.append({"where": where, "problems": problems})
            self.store.save()
        print(f"VIOLATION {where}: {'; '.join(problems)}", flush=True)
