"""What a setting's value must look like: types that refuse the rest, in words that repeat no secret."""

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes
from pydantic import AfterValidator, AliasGenerator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Named = TypeVar("Named", bound=str)


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


def _stats_password(value: str) -> None:
    """It stands in HAProxy's configuration, where a space or a quote would end it."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{20,64}", value):
        raise ValueError("must be 20 to 64 letters, digits, `-` or `_`")


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


def expiry(certificate: str) -> datetime.datetime:
    """Return when the first certificate in PEM text expires."""
    return x509.load_pem_x509_certificates(certificate.encode())[0].not_valid_after_utc


def public_half(value: SecretStr) -> str:
    """Return the public half of an SSH private key, as in authorized_keys."""
    public = load_key(value.get_secret_value()).public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


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


def _app_key(value: str) -> None:
    try:
        key = serialization.load_pem_private_key(value.encode(), password=None)
    except TypeError:
        raise ValueError("has a passphrase, which nobody is there to type: use the key as GitHub gave it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not the PEM file that GitHub gave for the App") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("is not an RSA key: GitHub makes no others for Apps")


def _ci_secret(value: str) -> None:
    if not value.strip():
        raise ValueError("is empty")


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("is no address and no network, such as 203.0.113.7 or 203.0.113.0/24") from None


def _registry_password(value: str) -> None:
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("must be one line of printable ASCII")


def _address(value: str) -> str:
    """A server's address that paths can be appended to; what is secret crosses it, so in the clear only at home."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username:
        raise ValueError("is not the address of a server: write https://host, without a path or a final /")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ValueError("is http://: the token would cross the network in the clear")
    return value


def _notify_url(value: str) -> None:
    """What fails is told there in the clear unless it is https; a name without a dot is on the engine's own network."""
    parts = urlsplit(value)
    near = parts.scheme == "http" and parts.hostname and "." not in parts.hostname
    if parts.username or not parts.hostname or not (parts.scheme == "https" or near) or re.search(r"\s", value):
        raise ValueError("is not an https:// address without a log-in (http:// only for a name without a dot)")


def _repository_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", value) or value in (".", ".."):
        raise ValueError("is not a repository's name: letters, digits, `.`, `-` and `_`, at most 100, no owner")
    if value.lower().endswith((".git", ".wiki", ".atom")):
        raise ValueError("ends with what GitHub keeps for itself: leave that off")
    return value


def _actions_name(value: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ValueError("is not a name for Actions: upper-case letters, digits and `_`, not a digit first")
    if value.startswith("GITHUB_"):
        raise ValueError("begins with GITHUB_, which GitHub keeps for itself")
    return value


def check_certificate(value: str) -> None:
    """Refuse all but a chain whose first certificate belongs to the key that follows it and has not expired."""
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
Password = Annotated[SecretStr, _secret_that(_password)]
SshPrivateKey = Annotated[SecretStr, _secret_that(_private_key)]
KestraPassword = Annotated[SecretStr, _secret_that(_kestra_password)]
EncryptionKey = Annotated[SecretStr, _secret_that(_encryption_key)]
StatsPassword = Annotated[SecretStr, _secret_that(_stats_password)]
WebhookKey = Annotated[SecretStr, _secret_that(_webhook_key)]
WebhookSecret = Annotated[SecretStr, _secret_that(_webhook_secret)]
Token = Annotated[SecretStr, _secret_that(_token)]
AppKey = Annotated[SecretStr, _secret_that(_app_key)]
CiSecret = Annotated[SecretStr, _secret_that(_ci_secret)]
Network = Annotated[str, AfterValidator(_network)]
RegistryPassword = Annotated[SecretStr, _secret_that(_registry_password)]
Registry = Annotated[
    str, matching(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", "is not host or host:port, such as ghcr.io")
]
Variable = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "is not the name of a variable (letters, digits, _)")]
VariableValue = Annotated[str, matching(r"[^'\x00-\x1f\x7f]*", "holds a line break, a control character or a `'`")]
Certificate = Annotated[SecretStr, _secret_that(check_certificate)]
NotifyUrl = Annotated[SecretStr, _secret_that(_notify_url)]
Address = Annotated[str, AfterValidator(_address)]
Owner = Annotated[str, matching(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}", "is not the name of an organisation or a user")]
RepositoryName = Annotated[str, AfterValidator(_repository_name)]
Topic = Annotated[str, matching(r"[a-z0-9][a-z0-9-]{0,49}", "is not a topic: lower-case letters, digits and `-`")]
Check = Annotated[str, matching(r"\S(.*\S)?", "is not a check's name: write it as GitHub shows it on a pull request")]
Reviewer = Annotated[
    str, matching(r"[A-Za-z0-9-]+(/[A-Za-z0-9._-]+)?", "is not a reviewer: write a user's name, or owner/team")
]
ActionPattern = Annotated[
    str,
    matching(r"[A-Za-z0-9-]+/[A-Za-z0-9._*/-]+(@[A-Za-z0-9._*/-]+)?", "is no pattern of actions, such as docker/*"),
]
HomePage = Annotated[str, matching(r"(https?://\S+)?", "is not the address of a page, https://…")]
Line = Annotated[str, matching(r"[^\x00-\x1f\x7f]*", "holds a line break or a control character")]
ActionsName = Annotated[str, AfterValidator(_actions_name)]


def each_once(values: tuple[Named, ...]) -> tuple[Named, ...]:
    """Refuse what is named twice."""
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"names {', '.join(twice)} twice")
    return values


class Fault(NamedTuple):
    """What is wrong at a more precise place than the field that is checked."""

    path: str
    """Where; one that begins with `.` or `[` goes on from the field's."""
    words: str
    """What is wrong there."""
    remove: bool = False
    """What stands there must go."""


def refused(*faults: Fault) -> PydanticCustomError:
    """Return the error to raise for faults."""
    return PydanticCustomError("several", "see the context", {"faults": faults})


class Model(BaseModel):
    """Frozen, no unknown keys, camelCase outside and snake_case inside; no value is repeated in an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(validation_alias=to_camel),
    )
