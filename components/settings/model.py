"""The settings: everything a stack can choose, and what follows from it."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives import serialization
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from components.container import Runtime
from components.flow import NAMESPACE
from components.settings.values import (
    Authority,
    Branch,
    Certificate,
    Domain,
    Email,
    EncryptionKey,
    GitUrl,
    Host,
    HostKey,
    Image,
    KestraPassword,
    Model,
    Password,
    Port,
    PostgresImage,
    Repository,
    SshPrivateKey,
    Token,
    UnixUser,
    WebhookKey,
    WebhookSecret,
    certified_names,
    load_key,
    matching,
)

FLOWS = Path(__file__).resolve().parent.parent.parent / "flows"


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
    def known_hosts_line(self) -> str:
        """The pinned key as OpenSSH and JSch look it up."""
        return f"{self.address if self.port == 22 else f'[{self.address}]:{self.port}'} {self.host_key}"


class Settings(Model):
    """Everything a stack can choose. Pulumi.yaml's `config:` describes each setting to people and checks its type."""

    domain: Domain = "localhost"
    bind_address: IPv4Address = IPv4Address("127.0.0.1")
    http_port: Port = 8080
    https_port: Port = 8443
    networks: tuple[str, ...] = ()
    docker_host: Annotated[str, matching(r"unix:///\S+|ssh://\S+", "must begin with unix:/// or ssh://")] = (
        "unix:///var/run/docker.sock"
    )
    tls_certificate: Certificate
    tls_ca: Authority = ""

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

    flows: Annotated[tuple[str, ...], Field(validate_default=True)] = ()
    git_url: Annotated[
        str,
        matching(
            r"https://[^\s@]*[^\s@/]|http://[a-z0-9-]+(:[0-9]+)?",
            "is not an https:// address without a log-in and a final / (http:// only for a name without a dot)",
        ),
    ] = "https://github.com"
    github_token: Token
    flows_repository: Repository
    deploy_repository: Repository
    image_repositories: tuple[Repository, ...]
    image_workflow: Annotated[str, matching(r"\S(.*\S)?", "is not the name of a workflow")]
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
        public = load_key(self.kestra_ssh_key.get_secret_value()).public_key()
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
        hooked = [flow for flow in self.flows if "trigger.Webhook" in (FLOWS / f"{flow}.yml").read_text()]
        return {flow: f"{self.url}/api/v1/main/executions/webhook/{NAMESPACE}/{flow}/{key}" for flow in hooked}

    @property
    def url(self) -> str:
        """The address people open, without a path."""
        return f"https://{self.domain}" + ("" if self.https_port == 443 else f":{self.https_port}")

    @field_validator("tls_certificate")
    @classmethod
    def _certifies_the_domain(cls, certificate: SecretStr, info: ValidationInfo) -> SecretStr:
        names, domain = certified_names(certificate.get_secret_value()), info.data.get("domain", "")
        if domain and not {domain, f"*.{domain.partition('.')[2]}"} & set(names):
            raise ValueError(
                f"is for {', '.join(names) or 'no name'}, not for {domain}: the edge would refuse everybody"
            )
        return certificate

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
        known = sorted(path.stem for path in FLOWS.glob("*.yml"))
        if unknown := [flow for flow in flows if flow not in known]:
            raise ValueError(f"names {', '.join(unknown)}, which is not in flows/ (there are: {', '.join(known)})")
        return flows or tuple(known)
