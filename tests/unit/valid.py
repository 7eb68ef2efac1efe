"""A stack's settings that are right in every point, to change one point at a time."""

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab import keys

SECRET_KEYS = {
    "tlsCertificate",
    "postgresPassword",
    "databases",
    "kestraPassword",
    "encryptionKey",
    "webhookKey",
    "webhookSecret",
    "githubToken",
    "adminSshKey",
    "kestraSshKey",
}
ENCRYPTION_KEY = base64.b64encode(b"thirty-two bytes of no secrecy..").decode()
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8eQ2rRVTTDNX0a8mCfd6cDGNrcDpFCbbqHdRuBoEIb"


@cache
def private_key(passphrase: bytes | None = None) -> str:
    """An SSH private key."""
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, locked)
        .decode()
    )


def x25519() -> str:
    """A private key that agrees on secrets and signs nothing."""
    pkcs8, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return X25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, pkcs8, none).decode()


def values(**changed: Any) -> dict[str, str]:
    """All settings as Pulumi hands them over (text, or JSON); `changed` replaces some, None leaves one out."""
    complete: dict[str, Any] = {
        "tlsCertificate": _certificate(),
        "postgresImage": "postgres:17.10",
        "postgresPassword": "superuser-password",
        "databases": [{"name": "kestra", "password": "kestra-role-password"}],
        "kestraImage": "kestra/kestra:v2.0.8",
        "kestraUser": "admin@example.com",
        "kestraPassword": "Kestra-login-1",
        "encryptionKey": ENCRYPTION_KEY,
        "haproxyImage": "haproxy:3.4.7-alpine",
        "webhookKey": "k" * 24,
        "webhookSecret": "s" * 40,
        "githubToken": "t" * 40,
        "flowsRepository": "centaurin/carica-kestra",
        "deployRepository": "centaurin/carica-deploy",
        "imageRepositories": ["centaurin/carica", "centaurin/carica-ml"],
        "imageWorkflow": "Publish image",
        "deployHosts": [
            {
                "name": "web",
                "address": "web.example.com",
                "user": "deploy",
                "hostKey": HOST_KEY,
                "repository": "https://github.com/centaurin/carica-deploy",
            }
        ],
        "adminSshKey": private_key(),
        "kestraSshKey": private_key(),
    } | changed
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in complete.items()
        if value is not None
    }


@cache
def _certificate() -> str:
    return keys.new_certificate("localhost")
