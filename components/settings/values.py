"""What a setting's value must look like: types that refuse the rest, in words that repeat no secret."""

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from typing import Annotated, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes
from pydantic import AfterValidator, AliasGenerator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel


def matching(pattern: str, meaning: str) -> AfterValidator:
    """Refuse, as `meaning`, what `pattern` does not fit from end to end."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


def _secret_that(check: Callable[[str], None]) -> AfterValidator:
    """Check a secret's text; `check` raises ValueError with words that do not repeat it."""

    def wrapped(value: SecretStr) -> SecretStr:
        check(value.get_secret_value())
        return value

    return AfterValidator(wrapped)


def _image_reference(value: str) -> str:
    name, _, digest = value.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ValueError("the digest is not sha256:<64 hex digits>")
    if not tag and not digest:
        raise ValueError("has no tag: name the version to run, such as name:1.2.3")
    if tag == "latest":
        raise ValueError("`latest` is whatever was pushed last: name the version to run")
    return value


def _password(value: str) -> None:
    """Refuse what cannot be carried in Kestra's configuration: Micronaut expands `${…}` in every value it reads."""
    if len(value) < 12:
        raise ValueError("is shorter than 12 characters")
    if not value.isascii() or not value.isprintable() or "${" in value:
        raise ValueError("may hold printable ASCII only, and no `${`")


def _kestra_password(value: str) -> None:
    """Refuse what Kestra refuses: it would then leave its set-up page open to whoever comes first (kestra.md, 2)."""
    if not 8 <= len(value) <= 256:
        raise ValueError("must have 8 to 256 characters")
    if not (re.search("[A-Z]", value) and re.search("[a-z]", value) and re.search("[0-9]", value)):
        raise ValueError("needs an upper-case letter, a lower-case letter and a digit")
    if not value.isascii() or not value.isprintable() or "${" in value:
        raise ValueError("may hold printable ASCII only, and no `${`")


def _webhook_secret(value: str) -> None:
    if len(value) < 20:
        raise ValueError("is shorter than 20 characters: a guessable secret lets anyone deploy")
    if not value.isascii() or not value.isprintable():
        raise ValueError("may hold printable ASCII only")


def _webhook_key(value: str) -> None:
    """The key is the last segment of a URL, and Kestra takes 256 characters at most."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{20,256}", value):
        raise ValueError("must be 20 to 256 letters, digits, `-` or `_`")


def _encryption_key(value: str) -> None:
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        raise ValueError("is not base64") from None
    if size != 32:
        raise ValueError(f"holds {size} bytes, not the 32 that AES-256 takes")


def _postgres_image(value: str) -> str:
    """Another major version has another layout of its volume, and cannot read this one's."""
    tag = value.partition("@")[0].rpartition(":")[2]
    if ":" in value.partition("@")[0] and not re.match(r"17(\D|$)", tag):
        raise ValueError("is not PostgreSQL 17, whose data directory this desk lays out")
    return value


def _host_name(value: str) -> str:
    if re.fullmatch(r"[0-9.]+", value):
        raise ValueError(
            "is an address: people's browsers name no host for one, and the edge answers to its name alone"
        )
    return value


def _host_key(value: str) -> str:
    try:
        serialization.load_ssh_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a line of ssh-keyscan's, without the host's name before it") from None
    return value


def _authority(value: str) -> str:
    try:
        if value:
            x509.load_pem_x509_certificates(value.encode())
    except ValueError:
        raise ValueError("is not the PEM text of a certificate") from None
    return value


def certified_names(certificate: str) -> list[str]:
    """Return the DNS names that the first certificate in PEM text is for, such as `*.example.com`."""
    leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)


def load_key(value: str) -> SSHPrivateKeyTypes:
    """Return an SSH private key in OpenSSH's or PEM format; raises what cryptography raises."""
    if "BEGIN OPENSSH PRIVATE KEY" in value:
        return serialization.load_ssh_private_key(value.encode(), password=None)
    return cast(SSHPrivateKeyTypes, serialization.load_pem_private_key(value.encode(), password=None))


def _private_key(value: str) -> None:
    try:
        key = load_key(value)
    except TypeError:
        raise ValueError("has a passphrase, which nobody is there to type: use a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not an SSH private key") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey):
        raise ValueError("is of a kind that no SSH server takes: use an Ed25519 key")


def _token(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]{20,255}", value):
        raise ValueError("does not look like a GitHub token")


def _certificate(value: str) -> None:
    """A chain whose first certificate belongs to the key that follows it and has not expired."""
    try:
        leaf = x509.load_pem_x509_certificates(value.encode())[0]
        key = serialization.load_pem_private_key(value.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not a PEM certificate chain followed by its private key without a passphrase") from None
    if leaf.public_key() != key.public_key():
        raise ValueError("holds a private key that does not belong to its first certificate")
    if leaf.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise ValueError(f"has expired on {leaf.not_valid_after_utc:%Y-%m-%d}")


Port = Annotated[int, Field(ge=1, le=65535)]
Image = Annotated[str, AfterValidator(_image_reference)]
PostgresImage = Annotated[Image, AfterValidator(_postgres_image)]
Host = Annotated[str, matching(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", "is not a host name or an IPv4 address")]
Domain = Annotated[Host, AfterValidator(_host_name)]
HostKey = Annotated[str, AfterValidator(_host_key)]
Authority = Annotated[str, AfterValidator(_authority)]
Email = Annotated[
    str,
    matching(
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "is not an e-mail address (letters, digits, . _ % + -)"
    ),
]
GitUrl = Annotated[
    str,
    matching(
        r"(https|file)://[^\s'\"@]+|ssh://([a-z]+@)?[^\s'\"@]+|[a-z]+@[^\s'\"@:]+:[^\s'\"]+",
        "is not a Git URL (with no password in it)",
    ),
]
UnixUser = Annotated[str, matching(r"[a-z_][a-z0-9_-]{0,31}", "is not a Unix user name")]
Branch = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "is not a branch name without `/`, which no image's tag can bear")
]
Repository = Annotated[
    str, matching(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", "is not a repository: write owner/name, as in its address")
]
Password = Annotated[SecretStr, _secret_that(_password)]
SshPrivateKey = Annotated[SecretStr, _secret_that(_private_key)]
KestraPassword = Annotated[SecretStr, _secret_that(_kestra_password)]
EncryptionKey = Annotated[SecretStr, _secret_that(_encryption_key)]
WebhookKey = Annotated[SecretStr, _secret_that(_webhook_key)]
WebhookSecret = Annotated[SecretStr, _secret_that(_webhook_secret)]
Token = Annotated[SecretStr, _secret_that(_token)]
Certificate = Annotated[SecretStr, _secret_that(_certificate)]


class Model(BaseModel):
    """Frozen, no unknown keys, camelCase outside and snake_case inside; no value is repeated in an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(validation_alias=to_camel),
    )
