"""Stack configuration → one frozen, validated model. The only module that reads `pulumi.Config`."""

import base64
import binascii
import datetime
import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_origin

import pulumi
import pulumi.runtime.config
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization.ssh import SSHPrivateKeyTypes
from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from components.container import Runtime

PROJECT = "carica-kestra"
FLOWS = Path(__file__).resolve().parent.parent / "flows"


class SettingsError(pulumi.RunError):
    """Everything that is wrong with the stack's settings, each with its key, the fault and the mending command.

    A RunError, which Pulumi shows without a traceback.
    """


# --- what a value must look like -------------------------------------------------------------------------------------


def _matching(pattern: str, meaning: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


def _secret(check: Callable[[str], None]) -> AfterValidator:
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


def _load_key(value: str) -> SSHPrivateKeyTypes:
    """Return an SSH private key in OpenSSH's or PEM format; raises what cryptography raises."""
    if "BEGIN OPENSSH PRIVATE KEY" in value:
        return serialization.load_ssh_private_key(value.encode(), password=None)
    return cast(SSHPrivateKeyTypes, serialization.load_pem_private_key(value.encode(), password=None))


def _private_key(value: str) -> None:
    try:
        _load_key(value)
    except TypeError:
        raise ValueError("has a passphrase, which nobody is there to type: use a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not an SSH private key") from None


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
Host = Annotated[str, _matching(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", "is not a host name or an IPv4 address")]
UnixUser = Annotated[str, _matching(r"[a-z_][a-z0-9_-]{0,31}", "is not a Unix user name")]
Branch = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "is not a branch name")]
Repository = Annotated[
    str, _matching(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", "is not a repository: write owner/name, as in its address")
]
Password = Annotated[SecretStr, _secret(_password)]
SshPrivateKey = Annotated[SecretStr, _secret(_private_key)]


# --- the settings ----------------------------------------------------------------------------------------------------


class _Model(BaseModel):
    """Frozen, no unknown keys, camelCase outside and snake_case inside; no value is repeated in an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(validation_alias=to_camel),
    )


class Database(_Model):
    """A database and the role of the same name that owns it."""

    name: Annotated[str, _matching(r"[a-z][a-z0-9_]{0,62}", "is not a database name (a-z, 0-9, _)")]
    password: Password

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in {"postgres", "template0", "template1"}:
            raise ValueError("is PostgreSQL's own database")
        return name


class Server(_Model):
    """A server that deployments go to."""

    name: Annotated[str, _matching(r"[a-z][a-z0-9-]{0,30}", "is not a name (a-z, 0-9, -)")]
    """What people call it; names its resources."""
    address: Host
    """Where Kestra reaches its SSH service."""
    port: Port = 22
    """The SSH service's port, as Kestra sees it."""
    user: UnixUser
    """The account deployments run as; made if it is missing."""
    host_key: Annotated[
        str,
        _matching(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+) [A-Za-z0-9+/=]+( .*)?", "is not a line of ssh-keyscan's"),
    ]
    """The server's public key, `ssh-ed25519 AAAA…`: pinned by Pulumi and by Kestra."""
    admin_user: UnixUser = "root"
    """The account Pulumi prepares the server as."""
    admin_address: Host | None = None
    """Where Pulumi reaches it, if not at `address`."""
    admin_port: Port | None = None
    """The port there, if not `port`."""
    repository: Annotated[str, _matching(r"(https|ssh|file)://\S+|[a-z]+@\S+:\S+", "is not a Git URL")]
    """What is checked out and deployed there."""

    @property
    def known_hosts_line(self) -> str:
        """The pinned key as OpenSSH and JSch look it up."""
        return f"{self.address if self.port == 22 else f'[{self.address}]:{self.port}'} {self.host_key}"


class Settings(_Model):
    """Everything a stack can choose. Pulumi.yaml's `config:` describes each setting to people and checks its type."""

    domain: Host = "localhost"
    bind_address: IPv4Address = IPv4Address("127.0.0.1")
    http_port: Port = 8080
    https_port: Port = 8443
    docker_host: Annotated[
        str, _matching(r"unix:///\S+|ssh://\S+|tcp://\S+", "must begin with unix://, ssh:// or tcp://")
    ] = "unix:///var/run/docker.sock"
    tls_certificate: Annotated[SecretStr, _secret(_certificate)]
    tls_ca: str = ""

    postgres_image: Image
    postgres_memory: Annotated[int, Field(ge=128)] = 512
    postgres_password: Password
    databases: tuple[Database, ...]
    protect_data: bool = True

    kestra_image: Image
    kestra_memory: Annotated[int, Field(ge=768)] = 4096
    kestra_user: Annotated[str, _matching(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "is not an e-mail address")]
    kestra_password: Annotated[SecretStr, _secret(_kestra_password)]
    kestra_networks: tuple[str, ...] = ()
    encryption_key: Annotated[SecretStr, _secret(_encryption_key)]
    termination_grace: Annotated[int, Field(ge=5, le=3600)] = 300

    haproxy_image: Image
    haproxy_memory: Annotated[int, Field(ge=64)] = 512
    webhook_key: Annotated[SecretStr, _secret(_webhook_key)]
    webhook_secret: Annotated[SecretStr, _secret(_webhook_secret)]

    flows: Annotated[tuple[str, ...], Field(validate_default=True)] = ()
    git_url: Annotated[str, _matching(r"https?://\S+[^/]", "is not an http(s) address without a final /")] = (
        "https://github.com"
    )
    github_token: Annotated[SecretStr, _secret(_token)]
    flows_repository: Repository
    deploy_repository: Repository
    image_repositories: tuple[Repository, ...]
    image_workflow: str
    default_branch: Branch = "main"

    deploy_hosts: tuple[Server, ...]
    admin_ssh_key: SshPrivateKey
    kestra_ssh_key: SshPrivateKey

    def runtime(self, part: Literal["postgres", "kestra", "haproxy"]) -> Runtime:
        """Return what `part` runs on."""
        image, memory = {
            "postgres": (self.postgres_image, self.postgres_memory),
            "kestra": (self.kestra_image, self.kestra_memory),
            "haproxy": (self.haproxy_image, self.haproxy_memory),
        }[part]
        return Runtime(engine=self.docker_host, image=image, memory=memory)

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """The deploy hosts' pinned keys, as in OpenSSH's known_hosts."""
        return tuple(server.known_hosts_line for server in self.deploy_hosts)

    @property
    def kestra_database(self) -> Database:
        """The database Kestra keeps everything in."""
        return next(database for database in self.databases if database.name == "kestra")

    @property
    def kestra_public_key(self) -> str:
        """What deploy hosts let Kestra in with, as in authorized_keys."""
        public = _load_key(self.kestra_ssh_key.get_secret_value()).public_key()
        return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()

    @property
    def flow_variables(self) -> dict[str, str]:
        """What the flows read as `envs.name`."""
        host = self.deploy_hosts[0]
        return {
            "deploy_host": host.address,
            "deploy_port": str(host.port),
            "deploy_user": host.user,
            "deploy_repository": self.deploy_repository,
            "flows_repository": self.flows_repository,
            "image_repositories": ",".join(self.image_repositories),
            "image_workflow": self.image_workflow,
            "git_url": self.git_url,
            "default_branch": self.default_branch,
        }

    def webhook_urls(self, key: str) -> dict[str, str]:
        """Return flow → address for the flows that a webhook with `key` starts."""
        hooked = [flow for flow in self.flows if "trigger.Webhook" in (FLOWS / f"{flow}.yaml").read_text()]
        return {flow: f"{self.url}/api/v1/main/executions/webhook/prod/{flow}/{key}" for flow in hooked}

    @property
    def url(self) -> str:
        """The address people open, without a path."""
        return f"https://{self.domain}" + ("" if self.https_port == 443 else f":{self.https_port}")

    @field_validator("https_port")
    @classmethod
    def _ports_differ(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("http_port"):
            raise ValueError(f"is {port}, and so is httpPort: each needs a port of its own")
        return port

    @field_validator("databases")
    @classmethod
    def _kestra_has_a_database(cls, databases: tuple[Database, ...]) -> tuple[Database, ...]:
        names = [database.name for database in databases]
        if "kestra" not in names:
            raise ValueError("has no database `kestra`, which Kestra keeps everything in")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} twice")
        return databases

    @field_validator("deploy_hosts")
    @classmethod
    def _one_deploy_host(cls, hosts: tuple[Server, ...]) -> tuple[Server, ...]:
        if len(hosts) != 1:
            raise ValueError(f"names {len(hosts)} servers: the flows deploy to exactly one")
        return hosts

    @field_validator("flows")
    @classmethod
    def _flows_exist(cls, flows: tuple[str, ...]) -> tuple[str, ...]:
        known = sorted(path.stem for path in FLOWS.glob("*.yaml"))
        if unknown := [flow for flow in flows if flow not in known]:
            raise ValueError(f"names {', '.join(unknown)}, which is not in flows/ (there are: {', '.join(known)})")
        return flows or tuple(known)


# --- reading and explaining ------------------------------------------------------------------------------------------

_GENERATORS = {
    "encryptionKey": "openssl rand -base64 32",
    "webhookKey": "openssl rand -hex 24",
    "webhookSecret": "openssl rand -hex 32",
    "kestraPassword": "printf 'Kk1%s' $(openssl rand -hex 16)",
    "tlsCertificate": "cat fullchain.pem privkey.pem",
    "adminSshKey": "cat ~/.ssh/id_ed25519",
    "kestraSshKey": "cat kestra_ed25519",
    "githubToken": "cat token",
}
"""What makes each secret; any other is a password."""

_EXAMPLES = {
    "kestraUser": "you@example.com",
    "httpPort": "80",
    "httpsPort": "443",
    "kestraImage": "kestra/kestra:v2.0.8",
    "hostKey": "\"$(ssh-keyscan -t ed25519 HOST | cut -d' ' -f2-)\"",
    "user": "deploy",
}


def _mend(path: str, unknown: bool = False) -> str:
    """Return the command that sets `path`, such as `databases[0].password`; secrets come from a pipe, never argv."""
    last = path.rpartition(".")[2]
    option = " --path" if last != path or "[" in path else ""
    target = f"'{PROJECT}:{path}'"
    if unknown:
        return f"pulumi config rm{option} {target}"
    if last == "password" or last in {
        to_camel(n) for n, f in Settings.model_fields.items() if f.annotation is SecretStr
    }:
        return f"{_GENERATORS.get(last, 'openssl rand -hex 24')} | pulumi config set --secret{option} {target}"
    return f"pulumi config set{option} {target} {_EXAMPLES.get(last, '<value>')}"


def _path(error: ErrorDetails) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]]
    return "".join(parts).removeprefix(".")


def _fault(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is not set"
    if error["type"] == "extra_forbidden":
        known = [to_camel(name) for name in Settings.model_fields]
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return "is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return error["msg"].removeprefix("Value error, ")


def _problem(path: str, fault: str, unknown: bool = False) -> str:
    return f"  {PROJECT}:{path} {fault}\n      {_mend(path, unknown)}"


def _plain_secrets(values: Mapping[str, Any], secret_keys: Collection[str]) -> list[str]:
    secret = {to_camel(name) for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    plain = sorted(key for key in values if key in secret and key not in secret_keys)
    if "databases" not in secret_keys:
        listed = json.loads(values.get("databases", "[]"))
        plain += [f"databases[{number}].password" for number, each in enumerate(listed) if "password" in each]
    return [_problem(key, "is stored in plain text: make it a secret (and change it)") for key in plain]


def parse(values: Mapping[str, str], secret_keys: Collection[str]) -> Settings:
    """Return the settings in `values` (the stack's own keys, without the project's name).

    `secret_keys` names those that the stack keeps encrypted. Raises SettingsError listing every problem at once.
    """
    problems = _plain_secrets(values, secret_keys)
    typed: dict[str, Any] = dict(values)
    for name, field in Settings.model_fields.items():
        key = to_camel(name)
        if get_origin(field.annotation) is tuple and key in typed:
            typed[key] = json.loads(typed[key])
    try:
        settings = Settings.model_validate(typed)
    except ValidationError as refused:
        problems += [
            _problem(_path(error), _fault(error), error["type"] == "extra_forbidden")
            for error in refused.errors(include_input=False, include_url=False)
        ]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SettingsError(f"the stack's settings have {count}; nothing was changed.\n" + "\n".join(problems))
    return settings


def load() -> Settings:
    """Return the settings of the stack that Pulumi runs this program for; raises SettingsError."""
    prefix = f"{PROJECT}:"
    values = {
        k.removeprefix(prefix): v for k, v in pulumi.runtime.config.get_config_env().items() if k.startswith(prefix)
    }
    secret_keys = {key.removeprefix(prefix) for key in pulumi.runtime.config.get_config_secret_keys_env()}
    return parse(values, secret_keys)


def secret(value: SecretStr) -> pulumi.Output[str]:
    """Hand a secret to a component: from here on Pulumi encrypts it wherever it goes."""
    return pulumi.Output.secret(value.get_secret_value())
