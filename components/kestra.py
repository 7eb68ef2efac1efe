"""Kestra: configuration file, secrets, storage, container, health."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.container import Runtime, data_volume, service
from components.job import Job, JobArgs
from components.postgres import Postgres
from components.templating import render

USER = "kestra"
STORAGE = "/app/storage"
SSH = "/app/ssh"
START_SECONDS = 300
"""The first start on an empty database creates the schema; a slow disk makes that minutes."""
KILL_SECONDS = 60
"""How much longer than Kestra's own termination grace the container gets before it is killed."""

# JSch reads these, the limits in seconds: without them a server that went away keeps a deployment until its own limit.
_SSH_CONFIG = f"""Host *
  IdentityFile {SSH}/id
  UserKnownHostsFile {SSH}/known_hosts
  StrictHostKeyChecking yes
  ConnectTimeout 15
  ServerAliveInterval 15
"""


@dataclass(frozen=True, kw_only=True)
class KestraArgs:
    """What the server is given."""

    runtime: Runtime
    """Engine, Kestra 2's image, and memory, 60 % of which the heap takes."""
    url: str
    """The address people open, without a path."""
    user: str
    """E-mail address to log in with."""
    password: pulumi.Input[str]
    """The password to it."""
    encryption_key: pulumi.Input[str]
    """32 bytes in base64; encrypts outputs and inputs of type SECRET, and `webhook_key` follows from it."""
    termination_grace: int
    """Seconds that running tasks get to end when the server stops."""
    postgres: Postgres
    """The server with the database `kestra` and the role of that name. Whenever it is replaced, Kestra stops first."""
    database_password: pulumi.Input[str]
    """The role's password."""
    more_networks: tuple[str, ...]
    """Networks of other containers that flows reach, such as a deploy host on this engine, and that reach the edge."""
    variables: Mapping[str, pulumi.Input[str]]
    """What flows read as `envs.name` (lower case)."""
    secrets: Mapping[str, pulumi.Input[str]]
    """What flows read as `secret('NAME')` (upper case), besides WEBHOOK_KEY."""
    ssh_key: pulumi.Input[str]
    """Private key that flows log in to deploy hosts with."""
    known_hosts: tuple[str, ...]
    """The deploy hosts' keys, lines as in OpenSSH's known_hosts."""
    protect: bool
    """Refuse to delete the storage volume, and leave it behind when the stack is taken apart."""


class Kestra(pulumi.ComponentResource):
    """A stand-alone Kestra server; nothing of it is published, the edge reaches it over `network`."""

    network: pulumi.Output[str]
    """Name of the network it serves on, which also leads out to Git and the deploy hosts."""
    address = "kestra:8080"
    """UI and API on `network`."""
    webhook_key: pulumi.Output[str]
    """Last segment of its webhooks' URLs, which only the edge calls: a new key in the hooks is no restart of Kestra."""
    more_networks: tuple[str, ...]
    """The other networks it is on."""
    container: docker.Container
    """The server, healthy."""
    image: pulumi.Output[str]
    """The image that runs."""

    def __init__(self, name: str, args: KestraArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the server."""
        super().__init__("carica:kestra:Kestra", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        network = docker.Network(f"{name}-web", name=f"{name}-web", opts=child)
        storage = data_volume(f"{name}-storage", protect=args.protect, parent=self)
        image = docker.RemoteImage(f"{name}-image", name=args.runtime.image, keep_locally=True, opts=child)
        owned = Job(
            f"{name}-storage-owner",
            JobArgs(
                engine=args.runtime.engine,
                image_id=image.image_id,
                # The image has no such directory, so a new volume there is root's, and Kestra is not root.
                user="root",
                script=f"chown {USER}: {STORAGE}",
                volumes={STORAGE: storage.name},
                capabilities=("CAP_CHOWN",),
            ),
            opts=child,
        )
        self.webhook_key = pulumi.Output.from_input(args.encryption_key).apply(_webhook_key)
        configuration = render(
            "kestra.yml.j2",
            database_host=args.postgres.host,
            database_password=args.database_password,
            url=args.url,
            storage=STORAGE,
            encryption_key=args.encryption_key,
            termination_grace=args.termination_grace,
            user=args.user,
            password=args.password,
        )
        self.container = service(
            name,
            docker.ContainerArgs(
                image=image.image_id,
                user=USER,
                command=["server", "standalone"],
                envs=[
                    f"JAVA_OPTS=-Xmx{args.runtime.memory * 6 // 10}m",
                    *(pulumi.Output.concat(f"ENV_{key.upper()}=", value) for key, value in args.variables.items()),
                    *(_secret(key, value) for key, value in {**args.secrets, "WEBHOOK_KEY": self.webhook_key}.items()),
                ],
                uploads=[
                    _upload("/app/confs/application.yml", configuration),
                    _upload(f"{SSH}/config", _SSH_CONFIG),
                    _upload(f"{SSH}/known_hosts", "".join(f"{line}\n" for line in args.known_hosts)),
                    _upload(f"{SSH}/id", args.ssh_key),
                ],
                networks_advanced=[
                    docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[self.address.partition(":")[0]]),
                    docker.ContainerNetworksAdvancedArgs(name=args.postgres.network),
                    *(docker.ContainerNetworksAdvancedArgs(name=other) for other in args.more_networks),
                ],
                volumes=[docker.ContainerVolumeArgs(volume_name=storage.name, container_path=STORAGE)],
                memory=args.runtime.memory,
            ),
            # 8081 is Kestra's management port: health says 503 when the database is gone. It is never published.
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "curl", "-fsS", "-o", "/dev/null", "http://localhost:8081/health"],
                interval="3s",
                timeout="5s",
                retries=5,
                start_period=f"{START_SECONDS}s",
            ),
            wait_seconds=START_SECONDS,
            stop_seconds=args.termination_grace + KILL_SECONDS,
            # A database that restarts under a running Kestra leaves executions stuck (kestra#8356, #14059).
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[owned, args.postgres.databases], replace_with=[args.postgres.container]
            ),
        )

        self.network = network.name
        self.more_networks = args.more_networks
        self.image = image.name
        self.register_outputs({"network": self.network, "image": self.image})


def _webhook_key(encryption_key: str) -> str:
    """Derive a key from what Kestra's owner never changes."""
    return hmac.new(base64.b64decode(encryption_key), b"webhook key", hashlib.sha256).hexdigest()


def _secret(name: str, value: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the variable `secret('NAME')` reads: base64 on one line (kestra#17844)."""
    encoded = pulumi.Output.from_input(value).apply(lambda text: base64.b64encode(text.encode()).decode())
    return pulumi.Output.concat(f"SECRET_{name}=", encoded)


def _upload(path: str, content: pulumi.Input[str]) -> docker.ContainerUploadArgs:
    """Lay a file into the container. It belongs to root there, so Kestra's user reads it as `other`."""
    return docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
