"""One server for all tests of the scripts: each leaves something deployed that is healthy."""

from collections.abc import Iterator

import pytest
import yaml

from lab import apps
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from tests.deploy.server import Server
from tests.deploy.server import server as a_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server on which the first deployment was made, as by Pulumi."""
    engine()
    settings = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    images({"haproxy": settings["carica-kestra:haproxyImage"]})
    with a_server() as server:
        for name in apps.APPS:
            for tag in ("main", "v1", "v2"):
                apps.publish(name, tag, port=server.registry_port)
        apps.publish("carica", "sick", apps.SICK, server.registry_port)
        apps.publish("carica", "broken", apps.BROKEN, server.registry_port)
        server.update("current", "by=pulumi")
        yield server
