"""An edge under attack: its own HAProxy, with this program's configuration, before a witness."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.edge.edge import Doorstep, Rendered, doorstep, image, rendered, running
from tests.edge.kestra import address, flows
from tests.edge.siege import planted
from tests.edge.witness import Witness, answering
from tests.estate import Estate


@dataclass(frozen=True)
class Ground:
    """Where edges can be put up."""

    image: str
    given: Rendered
    witness: Witness

    @contextmanager
    def doorstep(self) -> Iterator[Doorstep]:
        """Yield a doorstep for edges, one at a time."""
        with doorstep(self.image) as step:
            yield step

    @contextmanager
    def edge(self, step: Doorstep, text: str | None = None) -> Iterator[str]:
        """Yield the name of an edge that runs, with another configuration where `text` is given."""
        whole = planted(self.given.text) if text is None else text
        with running(self.image, self.given, step, self.witness.directory, whole) as name:
            yield name


@contextmanager
def ground(folder: Path, upstream: tuple[str, int], **settings: str) -> Iterator[Ground]:
    """Yield the ground before some Kestra."""
    for each in ("configuration", "witness"):
        (folder / each).mkdir()
    reference = image()
    witness = Witness(folder / "witness", upstream)
    with witness.watching():
        yield Ground(reference, rendered(folder / "configuration", reference, **settings), witness)


@pytest.fixture(scope="package")
def before_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The ground before what only answers: there the edge alone is judged."""
    with ExitStack() as stack:
        upstream = stack.enter_context(answering())
        yield stack.enter_context(ground(tmp_path_factory.mktemp("edge"), upstream))


@pytest.fixture(scope="package")
def before_kestra(desk: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The ground before the desk's Kestra, which has flows that any call of their webhooks starts.

    The desk's own edge sees all tests come from one address, and would soon take them for a flood.
    """
    folder = tmp_path_factory.mktemp("kestra")
    settings = {"encryptionKey": desk.setting("encryptionKey")}
    with flows(desk), ground(folder, address(desk), **settings) as before:
        yield before
