"""The dev desk's secrets: generated on first use, kept in files of mode 0600, never printed."""

import base64
import datetime
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.paths import STATE

DAY = datetime.timedelta(days=1)
RENEW = 30 * DAY
"""A certificate with less time left than this is made anew."""


@dataclass(frozen=True)
class KeyPair:
    """An SSH key pair in OpenSSH's formats."""

    private: str
    public: str


def keep(path: Path, text: str) -> str:
    """Write `text` to a file that only this user reads, whole or not at all; return it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.rename(path)
    return text


def kept(name: str, make: Callable[[], str]) -> str:
    """Return the secret kept under `name`, made by `make` the first time."""
    path = STATE / name
    return path.read_text() if path.exists() else keep(path, make())


def password() -> str:
    """Return a new password that every part of the desk accepts: upper and lower case and a digit are in it."""
    return f"Aa1-{secrets.token_urlsafe(24)}"


def ssh_key(name: str) -> KeyPair:
    """Return the key pair kept under `name`."""

    def make() -> str:
        return (
            Ed25519PrivateKey.generate()
            .private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
            .decode()
        )

    private = kept(name, make)
    public = serialization.load_ssh_private_key(private.encode(), None).public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    return KeyPair(private, line)


def encryption_key() -> str:
    """Return 32 new random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _certificate(
    subject: str, issuer: x509.Name | None, signer: ec.EllipticCurvePrivateKey, days: int
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a certificate for the name `subject` signed by `signer`; without an issuer, a CA that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1()) if issuer else signer
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer or own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if issuer:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False).add_extension(
            x509.SubjectAlternativeName([_name(subject)]), critical=False
        )
    return builder.sign(signer, hashes.SHA256()), key


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def authority() -> str:
    """Return the local CA, PEM certificate and key, valid for ten years on this machine."""

    def make() -> str:
        signer = ec.generate_private_key(ec.SECP256R1())
        certificate, _ = _certificate("Carica Kestra lab CA", None, signer, 3650)
        return certificate.public_bytes(serialization.Encoding.PEM).decode() + _pem(signer)

    return kept("ca.pem", make)


def ca_certificate() -> str:
    """Return the local CA's certificate, PEM."""
    return x509.load_pem_x509_certificate(authority().encode()).public_bytes(serialization.Encoding.PEM).decode()


def ca_file() -> Path:
    """Return a file with the local CA's certificate, for browsers and `curl --cacert`."""
    path = STATE / "ca.crt"
    if not path.exists():
        keep(path, ca_certificate())
    return path


def new_certificate(domain: str, days: int = 397) -> str:
    """Return a new certificate for `domain` signed by the local CA, and its key, PEM."""
    ca = x509.load_pem_x509_certificate(authority().encode())
    signer = serialization.load_pem_private_key(authority().encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 (made by authority)
    certificate, key = _certificate(domain, ca.subject, signer, days)
    return certificate.public_bytes(serialization.Encoding.PEM).decode() + _pem(key)


def edge_certificate(domain: str) -> str:
    """Return the edge's certificate and key, made anew when it is about to expire."""
    path = STATE / f"edge-{domain}.pem"
    if path.exists():
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
        if leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > RENEW:
            return path.read_text()
    return keep(path, new_certificate(domain))


def stack_secrets(domain: str) -> dict[str, str]:
    """Return configuration path → value of all that the dev stack keeps secret, made the first time."""
    made: dict[str, Callable[[], str]] = {
        "postgresPassword": password,
        "databases[0].password": password,
        "kestraPassword": password,
        "encryptionKey": encryption_key,
        "githubToken": _token,
        "kestraGitToken": _token,
        "kestraStatusToken": _token,
        "notifyUrl": lambda: f"http://github:8080/_lab/inbox/{secrets.token_urlsafe(24)}",
        "webhookKey": lambda: secrets.token_urlsafe(24),
        "webhookSecret": lambda: secrets.token_hex(32),
    }
    known: dict[str, str] = json.loads(kept("secrets.json", lambda: "{}"))
    if missing := {path: make() for path, make in made.items() if path not in known}:
        known |= missing
        keep(STATE / "secrets.json", json.dumps(known))
    return {
        # Not what a later version made as well: this one knows no such setting.
        **{path: known[path] for path in made},
        "adminSshKey": ssh_key("admin_ed25519").private,
        "kestraSshKey": ssh_key("kestra_ed25519").private,
        "registryPassword": kept("registry_password", password),
        "deployGitKey": ssh_key("deploy_git_ed25519").private,
        "deployHosts[0].hostKey": ssh_key("deploy_host_ed25519").public,
        "gitHostKeys[0]": ssh_key("github_ed25519").public,
        # What the real CI is given; in the lab nobody uses it.
        "ciSecrets.PULUMI_BACKEND_URL": f"file://{STATE / 'backend'}",
        "ciSecrets.PULUMI_CONFIG_PASSPHRASE": kept("passphrase", password),
        "tlsCertificate": edge_certificate(domain),
        "tlsCa": ca_certificate(),
    }


def _token() -> str:
    """Return a new token for the lab's GitHub."""
    return f"lab_{secrets.token_hex(20)}"
