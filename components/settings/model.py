"""The settings: everything a stack can choose, and what follows from it."""

import json
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pulumi
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from components.container import Runtime
from components.flow import NAMESPACE
from components.settings import flows
from components.settings.certificate import CertificateSettings
from components.settings.github import HOST, HOST_KEYS, GitHubSettings
from components.settings.repositories import GitHubRepository
from components.settings.values import (
    ActionsName,
    CiSecret,
    Email,
    EncryptionKey,
    Fault,
    GitUrl,
    Host,
    HostKey,
    Image,
    KestraPassword,
    Model,
    Network,
    NotifyUrl,
    Password,
    Port,
    PostgresImage,
    Registry,
    RegistryPassword,
    SshPrivateKey,
    StatsPassword,
    UnixUser,
    Variable,
    VariableValue,
    WebhookKey,
    WebhookSecret,
    each_once,
    matching,
    public_half,
    refused,
)

CI_NEEDS_FOR_SSH = {
    "ci_secrets": {"DESK_SSH_KEY": "CI would not reach the Docker engine"},
    "ci_variables": {"DESK_KNOWN_HOSTS": "CI would not know the Docker engine by its key"},
}
"""What the CI that runs `up` (ci/) cannot do without for an engine at ssh://."""


class Database(Model):
    """A database and the role of the same name that owns it."""

    name: Annotated[str, matching(r"[a-z][a-z0-9_]{0,62}", "is not a database name (a-z, 0-9, _)")]
    password: Password

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in {"postgres", "template0", "template1"} or name.startswith("pg_"):
            raise ValueError("is a name that PostgreSQL keeps for itself")
        return name


class RegistryLogin(Model):
    """The registry that a server pulls images from, and who it is there."""

    server: Registry
    """Its name, and its port where it has one of its own."""
    username: Annotated[str, matching(r"[A-Za-z0-9$][A-Za-z0-9$._+@-]{0,99}", "is not a name to log in with")]
    """Who logs in; the password is the setting registryPassword."""


Taken = Literal["commits", "branch", "versions"]
TAKEN: tuple[Taken, ...] = ("commits", "branch", "versions")
"""What a server may take, as the flows call it."""


class Server(Model):
    """A server that deployments go to."""

    name: Annotated[str, matching(r"[a-z][a-z0-9-]{0,30}", "is not a name (a-z, 0-9, -)")]
    """What people call it; names its resources."""
    address: Host
    """Where Kestra reaches its SSH service."""
    port: Port = 22
    """The SSH service's port, as Kestra sees it."""
    user: UnixUser
    """The account deployments run as; made if it is missing."""
    host_key: HostKey
    """The server's public key, `ssh-ed25519 AAAA…`: pinned by Pulumi and by Kestra."""
    admin_user: UnixUser = "root"
    """The account Pulumi prepares the server as."""
    admin_address: Host | None = None
    """Where Pulumi reaches it, if not at `address`."""
    admin_port: Port | None = None
    """The port there, if not `port`."""
    repository: GitUrl
    """What is checked out and deployed there."""
    environment: dict[Variable, VariableValue] = Field(default={})
    """What its compose file is filled in with, besides the images' tags: what differs from server to server."""
    registry: RegistryLogin | None = None
    """Where it logs in to pull images; None where all can be had by anybody."""
    health_seconds: Annotated[int, Field(ge=10, le=200)] = 120
    """How long a deployment may take to get healthy before it is rolled back."""
    kestra_from: tuple[Network, ...] = ()
    """The addresses that Kestra's key is good from; empty for any."""
    takes: Annotated[tuple[Taken, ...], AfterValidator(each_once)] = TAKEN
    """What is deployed there by itself: commits of that repository, images of the default branch, those of versions."""

    @field_validator("user")
    @classmethod
    def _not_root(cls, user: str) -> str:
        if user == "root":
            raise ValueError("is root: deployments run as an account of their own")
        return user

    @field_validator("admin_user")
    @classmethod
    def _not_who_deploys(cls, admin_user: str, info: ValidationInfo) -> str:
        if admin_user == info.data.get("user"):
            raise ValueError("is `user` as well, whose keys Pulumi replaces: it would lock itself out")
        return admin_user

    @property
    def git_host(self) -> str | None:
        """The server its repository is fetched from over SSH, as known_hosts names it; None for another way."""
        return _git_host(self.repository)

    def fetches(self, repository: str) -> bool:
        """Tell whether what is checked out is `repository`, an owner/name, wherever that is served."""
        path = f"/{self.repository.replace(':', '/').removesuffix('/').removesuffix('.git')}"
        return path.lower().endswith(f"/{repository.lower()}")

    @property
    def known_hosts_line(self) -> str:
        """The pinned key as OpenSSH and JSch look it up."""
        return f"{self.address if self.port == 22 else f'[{self.address}]:{self.port}'} {self.host_key}"


class Settings(CertificateSettings, GitHubSettings):
    """Everything a stack can choose. Pulumi.yaml's `config:` describes each setting to people and checks its type."""

    bind_address: IPv4Address = IPv4Address("127.0.0.1")
    http_port: Port = 8080
    https_port: Port = 8443
    source_limit: Annotated[int, Field(ge=50)] = 600
    hooks_from_github_only: bool = False
    edge_metrics: bool = False
    stats_port: Port = 8405
    stats_password: StatsPassword | None = None
    networks: tuple[str, ...] = ()
    docker_host: Annotated[str, matching(r"unix:///\S+|ssh://\S+", "must begin with unix:/// or ssh://")] = (
        "unix:///var/run/docker.sock"
    )

    postgres_image: PostgresImage
    postgres_memory: Annotated[int, Field(ge=128)] = 512
    postgres_password: Password
    databases: tuple[Database, ...]
    protect_data: bool = True

    kestra_image: Image
    kestra_memory: Annotated[int, Field(ge=768)] = 4096
    kestra_user: Email
    kestra_password: KestraPassword
    encryption_key: EncryptionKey
    termination_grace: Annotated[int, Field(ge=5, le=3600)] = 300

    haproxy_image: Image
    haproxy_memory: Annotated[int, Field(ge=320)] = 512
    webhook_key: WebhookKey
    webhook_secret: WebhookSecret

    deploy_hosts: tuple[Server, ...]
    registry_password: Annotated[RegistryPassword | None, Field(validate_default=True)] = None
    deploy_git_key: Annotated[SshPrivateKey | None, Field(validate_default=True)] = None
    git_host_keys: Annotated[tuple[HostKey, ...], Field(validate_default=True)] = HOST_KEYS
    notify_url: NotifyUrl | None = None
    ci_secrets: Annotated[dict[ActionsName, CiSecret], Field(validate_default=True)] = Field(default={})
    ci_variables: Annotated[dict[ActionsName, str], Field(validate_default=True)] = Field(default={})

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
        return public_half(self.kestra_ssh_key)

    def git_known_hosts(self, server: Server) -> tuple[str, ...]:
        """Return the pinned keys of the Git server that `server` fetches from over SSH, as in known_hosts."""
        return tuple(f"{server.git_host} {key}" for key in self.git_host_keys) if server.git_host else ()

    def deploy_key_of(self, repository: GitHubRepository) -> str | None:
        """Return the public key that lets the deploy hosts read `repository`; None if they do not fetch it so."""
        fetched = "gh_push_deployment" in repository.hooks and any(host.git_host for host in self.deploy_hosts)
        return public_half(self.deploy_git_key) if self.deploy_git_key and fetched else None

    @property
    def workflow_variables(self) -> dict[str, str]:
        """What the workflows of the repository with ci read as `vars.NAME`."""
        return self.ci_variables | {"PULUMI_STACK": pulumi.get_stack()}

    @property
    def flow_variables(self) -> dict[str, str]:
        """What the flows read as `envs.name`."""
        hosts = {
            host.name: {"address": host.address, "port": str(host.port), "user": host.user, "takes": host.takes}
            for host in self.deploy_hosts
        }
        return {
            "deploy_hosts": json.dumps(hosts),
            "notify": "true" if self.notify_url else "false",
        } | self.flow_repositories

    def webhook_urls(self, key: str) -> dict[str, str]:
        """Return flow → address for the flows that a webhook with `key` starts."""
        hooked = [flow for flow in self.flows if flows.events(flow)]
        return {flow: f"{self.url}/api/v1/main/executions/webhook/{NAMESPACE}/{flow}/{key}" for flow in hooked}

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

    @field_validator("stats_port")
    @classmethod
    def _statistics_have_their_own(cls, port: int, info: ValidationInfo) -> int:
        if port in (info.data.get("http_port"), info.data.get("https_port")):
            raise ValueError(f"is {port}, which httpPort or httpsPort takes: each needs a port of its own")
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
    def _hosts_deploy_what_is_pushed(cls, hosts: tuple[Server, ...], info: ValidationInfo) -> tuple[Server, ...]:
        if not hosts:
            raise ValueError("names no server: there is nothing to deploy to")
        names = [host.name for host in hosts]
        faults = [
            Fault(f"[{number}].name", f"is {name}, which the list has already")
            for number, name in enumerate(names)
            if name in names[:number]
        ]
        for each in info.data.get("repositories", ()):
            pushed = f"{info.data.get('github_owner')}/{each.name}"
            if info.data.get("github_owner") and "gh_push_deployment" in each.hooks:
                faults += [
                    Fault(f"[{number}].repository", f"is not {pushed}, whose pushes are deployed")
                    for number, host in enumerate(hosts)
                    if not host.fetches(pushed)
                ]
        if faults:
            raise refused(*faults)
        return hosts

    @field_validator("registry_password")
    @classmethod
    def _logs_in_with_a_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # The hosts as they were given: with another fault in them they are not here yet.
        hosts = (info.context or {}).get("values", {}).get("deployHosts", [])
        if not password and any(host.get("registry") for host in hosts if isinstance(host, dict)):
            raise ValueError("is not set: a deploy host logs in to its registry with it")
        return password

    @field_validator("deploy_git_key")
    @classmethod
    def _ssh_takes_a_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        # The hosts as they were given: with another fault in them they are not here yet.
        hosts = (info.context or {}).get("values", {}).get("deployHosts", [])
        fetched = [host.get("repository", "") for host in hosts if isinstance(host, dict)]
        if not key and any(_git_host(str(each)) for each in fetched):
            raise ValueError("is not set: the deploy host's repository is fetched over SSH, with this key")
        return key

    @field_validator("git_host_keys")
    @classmethod
    def _are_the_hosts_own(cls, keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for host in info.data.get("deploy_hosts", ()):
            others = keys == HOST_KEYS and host.git_host != HOST
            if host.git_host and (others or not keys):
                fault = f"is not set: the deploy host fetches from {host.git_host}, and must know it by its key"
                raise refused(Fault("[0]", fault))
        return keys

    @field_validator("ci_secrets", "ci_variables")
    @classmethod
    def _ci_gets_what_up_needs(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if any(each.ci for each in info.data.get("repositories", ())):
            ssh = info.data.get("docker_host", "").startswith("ssh://")
            wanted = CI_NEEDS_FOR_SSH[str(info.field_name)] if ssh else {}
            faults = [Fault(f".{name}", f"is not set: {why}") for name, why in wanted.items() if name not in given]
            if info.field_name == "ci_secrets" and not {"PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"} & given.keys():
                fault = "is not set, nor is PULUMI_ACCESS_TOKEN for Pulumi Cloud: CI would find no state"
                faults.append(Fault(".PULUMI_BACKEND_URL", fault))
            if faults:
                raise refused(*faults)
        return given


def _git_host(repository: str) -> str | None:
    """Return the server of a repository that is fetched over SSH, as known_hosts names it."""
    if "://" not in repository:
        return repository.partition(":")[0].rpartition("@")[2] or None
    parts = urlsplit(repository)
    if parts.scheme != "ssh":
        return None
    return f"[{parts.hostname}]:{parts.port}" if parts.port not in (None, 22) else parts.hostname
