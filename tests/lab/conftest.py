"""What the tests of the lab share."""

import pytest
import yaml

from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT


@pytest.fixture(scope="session")
def references() -> dict[str, str]:
    """Part → the reference that the dev stack pins, made present."""
    settings = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    wanted = {part: settings[f"carica-kestra:{part}Image"] for part in ("postgres", "haproxy", "kestra")}
    engine()
    images(wanted)
    return wanted
