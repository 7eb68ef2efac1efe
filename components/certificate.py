"""The edge's certificate: one that the program is given, or one that HAProxy orders and renews by ACME."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components.settings.certificate import Acme
from components.settings.values import expiry
from components.templating import render

SCRIPT = Path(__file__).parent / "acme.sh"
WAIT_SECONDS = 90
"""How long `up` waits for an order of the first certificate; three of them fit into a job's time (job.py)."""
ORDER_SECONDS = 30
"""How long it waits for an order that is under way before it reloads HAProxy or replaces it."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What HAProxy is given for it."""

    crt: pulumi.Input[str]
    """What a `bind` line names."""
    sections: pulumi.Input[str]
    """Sections of the configuration."""
    install: str
    """What the configuration job does before it puts the new configuration to the test."""
    reloaded: str = ""
    """What it does after the reload."""
    files: Mapping[str, pulumi.Input[str]]
    """What it is handed for that."""
    environment: Mapping[str, pulumi.Input[str]]
    health: str = ""
    """What the container's healthcheck does besides asking HAProxy."""
    issued: str = ""
    """A job's script that ends once there is a certificate; empty: there is one."""
    challenged: bool = False
    """Whether the CA asks on the HTTP port."""


def given(pem: pulumi.Input[str], directory: str) -> Certificate:
    """Return what there is to do for a certificate with its key, PEM, that is kept in `directory`."""
    known = pulumi.Output.from_input(pem)
    # A file name per certificate: the one that runs stays as it is until the new configuration is good.
    fingerprint = known.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
    return Certificate(
        crt=pulumi.Output.concat(directory, "/tls/", fingerprint, ".pem"),
        sections=render("given.cfg.j2", not_after=known.apply(lambda text: int(expiry(text).timestamp()))),
        install=f"install -m 0400 /new/edge.pem {directory}/tls/$CERTIFICATE.pem\n",
        files={"/new/edge.pem": pem},
        environment={"CERTIFICATE": fingerprint},
    )


def ordered(acme: Acme, domain: str, directory: str, run: str) -> Certificate:
    """Return what there is to do for one that HAProxy orders for `domain`, and keeps in `directory`.

    `run` is where HAProxy's sockets are.
    """
    at = f"{directory}/acme"
    # Another CA has another account, and another domain another certificate: to go back to either orders nothing.
    ca = hashlib.sha256(acme.directory.encode()).hexdigest()[:16]
    pem = f"{at}/{domain}-{ca}.pem"
    script = f"{at}/acme.sh {run}/admin.sock"
    runs = f"socat -u OPEN:/dev/null UNIX-CONNECT:{run}/admin.sock 2>/dev/null"
    return Certificate(
        crt=pem,
        sections=render("acme.cfg.j2", acme=acme, domain=domain, pem=pem, account=f"{at}/{ca}.key", ca=f"{at}/ca.crt"),
        install=f"""
            umask 077
            mkdir -p {at}
            install -m 0400 /new/ca.crt {at}/ca.crt
            install -m 0500 /new/acme.sh {at}/acme.sh
            # A worker starts with what is on the volume: what the one before it was issued since must be there.
            if {runs}; then {script} {ORDER_SECONDS}; fi
        """,
        reloaded=f"if {runs}; then {script} {ORDER_SECONDS}; fi\n",
        files={"/new/acme.sh": SCRIPT.read_text(), "/new/ca.crt": acme.ca},
        environment={"CERTIFICATE": "none"},
        health=f"{script} 0",
        issued=f"""
            # An order that is under way may be doomed still; whoever runs `up` has mended what was wrong.
            {script} {WAIT_SECONDS}
            if [ ! -s {pem} ]; then {script} {WAIT_SECONDS} now; fi
            if [ -s {pem} ]; then exit 0; fi
            echo "{acme.directory} has given no certificate for {domain}."
            echo "The edge runs and tries again once an hour, without another up; its log says what the CA said."
            echo "A CA asks at http://{domain}/.well-known/acme-challenge/, port 80: that must lead to httpPort."
            exit 1
        """,
        challenged=True,
    )
