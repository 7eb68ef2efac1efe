"""A stack's settings that are right in every point, to change one point at a time."""

import base64
import copy
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic.alias_generators import to_camel

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
    "kestraGitToken",
    "registryPassword",
    "deployGitKey",
    "ciSecrets",
    "adminSshKey",
    "kestraSshKey",
}
"""Those that `values` needs."""
OPTIONAL_SECRETS = {"githubAppKey", "kestraStatusToken", "notifyUrl", "statsPassword"}
ENCRYPTION_KEY = base64.b64encode(b"thirty-two bytes of no secrecy..").decode()
REPOSITORIES: list[dict[str, Any]] = [
    {"name": "carica", "visibility": "public", "hooks": {"gh_workflow_completed": ["workflow_run"]}},
    {"name": "carica-ml", "visibility": "public", "hooks": {"gh_workflow_completed": ["workflow_run"]}},
    {"name": "carica-deploy", "visibility": "public", "hooks": {"gh_push_deployment": ["push"]}},
    {"name": "carica-kestra", "visibility": "public", "hooks": {"sync_from_git": ["push"]}, "ci": {}},
]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8eQ2rRVTTDNX0a8mCfd6cDGNrcDpFCbbqHdRuBoEIb"


def repositories(which: str, **changed: Any) -> list[dict[str, Any]]:
    """The valid list with one repository `changed`; None leaves a field out."""
    listed = copy.deepcopy(REPOSITORIES)
    one = next(each for each in listed if each["name"] == which)
    one |= {to_camel(key): value for key, value in changed.items()}
    return [{key: value for key, value in each.items() if value is not None} for each in listed]


@cache
def app_key(passphrase: bytes | None = None) -> str:
    """A GitHub App's private key, as GitHub hands it out."""
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, locked)
        .decode()
    )


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
        "kestraGitToken": "g" * 40,
        "githubOwner": "centaurin",
        "repositories": REPOSITORIES,
        "ciSecrets": {"PULUMI_BACKEND_URL": "file:///state-of-the-desk", "PULUMI_CONFIG_PASSPHRASE": "p" * 40},
        "imageWorkflow": "Publish image",
        "deployHosts": [
            {
                "name": "web",
                "address": "web.example.com",
                "user": "deploy",
                "hostKey": HOST_KEY,
                "repository": "git@github.com:centaurin/carica-deploy.git",
                "registry": {"server": "ghcr.io", "username": "centaurin"},
            }
        ],
        "registryPassword": "r" * 40,
        "deployGitKey": private_key(),
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
