"""Tests keep their keys and stacks in a directory of their own, and share the cache with everyone."""

import atexit
import os
import shutil
import tempfile

# Before anything imports lab.paths, which reads it once: no test touches the dev desk of whoever runs it.
os.environ["CARICA_STATE"] = tempfile.mkdtemp(prefix="carica-test-")
atexit.register(shutil.rmtree, os.environ["CARICA_STATE"], ignore_errors=True)

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from lab.apt import packages  # noqa: E402
from tests.estate import Estate, estate  # noqa: E402
from tests.instead import script  # noqa: E402, F401


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """What tests call and a bare machine lacks."""
    packages(ssh="openssh-client")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """One desk that is up, for all tests of a session: each leaves it as the code says."""
    with estate(Path(tmp_path_factory.mktemp("project"))) as running:
        running.up()
        yield running
