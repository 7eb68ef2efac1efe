"""What the tests of the lab share."""

from collections.abc import Iterator

import pytest
import yaml

from lab.engine import engine
from lab.github import Client
from lab.image_builder import images
from lab.paths import ROOT
from tests.lab.hub import Hub, hub


@pytest.fixture(scope="session")
def references() -> dict[str, str]:
    """Part → the reference that the dev stack pins, made present."""
    settings = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    wanted = {part: settings[f"carica-kestra:{part}Image"] for part in ("postgres", "haproxy", "kestra")}
    engine()
    images(wanted)
    return wanted


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A GitHub for the tests of one module, and a listener."""
    with hub(tmp_path_factory.mktemp("hub")) as it:
        yield it


@pytest.fixture(scope="module")
def github(running: Hub) -> Client:
    """The handle on that GitHub."""
    return running.client
