"""State on disk: one JSON document, written whole, and what is too large for it beside it."""

import json
import os
import shutil
import threading
from pathlib import Path

from .models import Delivery, Json, Owner, Repository, State, User

OWNER = "centaurin"
"""The organisation that exists from the beginning."""

DELIVERIES_KEPT = 200
"""Of each repository. GitHub keeps them for days; the lab, a number."""

PARTS = ("git", "deliveries")
"""Directories beside the document."""


class Store:
    """The state in memory, and its file. Whoever reads or changes it holds `lock`; `save` after a change."""

    def __init__(self, root: Path) -> None:
        """Read what an earlier run has left in `root`."""
        self.root = root
        self.lock = threading.RLock()
        self._file = root / "state.json"
        for part in PARTS:
            (root / part).mkdir(exist_ok=True)
        if self._file.exists():
            self.state = State.model_validate_json(self._file.read_bytes())
        else:
            self.reset()

    def reset(self) -> None:
        """Forget everything: one organisation exists, and nothing else."""
        for part in PARTS:
            shutil.rmtree(self.root / part)
            (self.root / part).mkdir()
        self.state = State()
        self.state.owners[OWNER] = Owner(id=self.new_id(), login=OWNER)
        self.save()

    def save(self) -> None:
        """Write the document whole or not at all."""
        draft = self._file.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(self.state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)

    def new_id(self) -> int:
        """Return an id that nothing else bears."""
        self.state.next_id += 1
        return self.state.next_id - 1

    def repository(self, owner: str, name: str) -> Repository | None:
        """Return a repository by its name in any case, or by a name it bore before."""
        wanted = name.lower()
        of_owner = [each for each in self.state.repositories.values() if each.owner.lower() == owner.lower()]
        for each in of_owner:
            if each.name.lower() == wanted:
                return each
        for each in of_owner:
            if wanted in (former.lower() for former in each.former_names):
                return each
        return None

    def git_directory(self, repository: Repository) -> Path:
        """Return where a repository's commits are."""
        return self.root / "git" / f"{repository.id}.git"

    def user(self, login: str) -> User:
        """Return a user, made on first sight."""
        if login not in self.state.users:
            kind = "Bot" if login.endswith("[bot]") else "User"
            self.state.users[login] = User(id=self.new_id(), login=login, type=kind)
        return self.state.users[login]

    def log(self, repository: Repository, delivery: Delivery, exchange: Json) -> None:
        """Keep a delivery: a line in the state, request and answer in a file."""
        self._exchange(delivery.id).write_text(json.dumps(exchange))
        repository.deliveries.append(delivery)
        for old in repository.deliveries[:-DELIVERIES_KEPT]:
            self.forget(old.id)
        del repository.deliveries[:-DELIVERIES_KEPT]

    def exchange(self, delivery_id: int) -> Json:
        """Return the request and the answer of a delivery."""
        return dict(json.loads(self._exchange(delivery_id).read_text()))

    def forget(self, delivery_id: int) -> None:
        """Remove the request and the answer of a delivery."""
        self._exchange(delivery_id).unlink(missing_ok=True)

    def _exchange(self, delivery_id: int) -> Path:
        return self.root / "deliveries" / f"{delivery_id}.json"
