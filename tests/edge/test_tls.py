"""The edge's TLS as a scanner sees it: sslyze, by Mozilla's intermediate profile."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import keys
from lab.cache import cached
from lab.shell import run
from tests.edge.conftest import ground
from tests.edge.witness import answering

SSLYZE = "sslyze==6.3.1"
"""In an environment of its own, as it holds cryptography back. Its profile is Mozilla's 5.7: 6.0 came after it."""
DAYS = 90
"""The longest that the profile likes a certificate to be valid, which is nothing that the edge could do about."""


@pytest.fixture(scope="module")
def sslyze() -> list[str | Path]:
    """The scanner, installed the first time."""

    def install(into: Path) -> None:
        run("environment of sslyze", [sys.executable, "-m", "venv", into / "venv"])
        pip: list[str | Path] = [into / "venv/bin/python", "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
        run("sslyze", [*pip, SSLYZE])

    return [cached("sslyze", (SSLYZE,), install) / "venv/bin/python", "-m", "sslyze"]


@pytest.fixture(scope="module")
def scanned(sslyze: list[str | Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the scanner prints and what it found."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = keys.new_certificate("localhost", DAYS)
    with (
        answering() as upstream,
        ground(folder, upstream, tlsCertificate=certificate) as before,
        before.doorstep() as step,
        before.edge(step),
    ):
        scan = subprocess.run(
            [
                *sslyze,
                "--mozilla_config=intermediate",
                "--sni=localhost",
                f"--certinfo_ca_file={keys.ca_file()}",
                f"--json_out={folder / 'found.json'}",
                f"{step.address}:{step.port(0)}",
            ],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        found = json.loads((folder / "found.json").read_text())
        yield scan.stdout, found["server_scan_results"][0]["scan_result"]


def test_it_complies_with_the_intermediate_profile(scanned: tuple[str, dict[str, Any]]) -> None:
    assert "OK - Compliant." in scanned[0], scanned[0][-2000:]


@pytest.mark.parametrize(
    ("scan", "what", "expected"),
    [
        ("heartbleed", "is_vulnerable_to_heartbleed", False),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", False),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", False),
        ("session_renegotiation", "supports_secure_renegotiation", True),
        ("tls_compression", "supports_compression", False),
        ("tls_fallback_scsv", "supports_fallback_scsv", True),
        ("tls_extended_master_secret", "supports_ems_extension", True),
        ("robot", "robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
    ],
)
def test_no_known_weakness_is_found(
    scanned: tuple[str, dict[str, Any]], scan: str, what: str, expected: object
) -> None:
    assert scanned[1][scan]["result"][what] == expected
