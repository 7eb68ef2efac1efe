"""Postgres: the data network, the volume, the container, and the databases and roles in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.container import Runtime, data_volume, service
from components.job import Job, JobArgs
from components.templating import render

USER = "postgres"
SOCKETS = "/var/run/postgresql"
STOP_SECONDS = 90
"""A checkpoint of a busy server takes its time; PostgreSQL's image stops with SIGINT, its fast shutdown."""

_CHECK = """
# From standard input, as psql then tells a failure of its own (2, 3) from what it found.
found=$(echo "SELECT rolname FROM pg_database JOIN pg_roles owner ON owner.oid = datdba
               WHERE datname = rolname AND rolcanlogin ORDER BY 1" | psql -X -At -v ON_ERROR_STOP=1)
for database in $DATABASES; do
    echo "$found" | grep -qx "$database"
done
"""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """A database and the role of the same name that owns it."""

    name: str
    """Lower-case name, checked by the settings: it stands in SQL unquoted."""
    password: pulumi.Input[str]
    """The role's password."""


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """What the server is given."""

    runtime: Runtime
    """Engine, PostgreSQL 17's image, and memory, which the server's buffers follow."""
    password: pulumi.Input[str]
    """The superuser's password. Nothing on the desk logs in with it."""
    databases: Sequence[DatabaseArgs]
    """All that shall exist; one that is left out later is kept, as data is never dropped by leaving out a line."""
    protect: bool
    """Refuse to delete the volume, and leave it behind when the stack is taken apart."""


class Postgres(pulumi.ComponentResource):
    """A PostgreSQL server that only containers on its internal network reach."""

    network: pulumi.Output[str]
    """Name of the internal network."""
    host = "postgres"
    """The server's name there."""
    container: docker.Container
    """The server, healthy."""
    databases: pulumi.Resource
    """Depend on it to come after the databases and roles are as declared."""
    image: pulumi.Output[str]
    """The image that runs."""

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the server."""
        super().__init__("carica:postgres:Postgres", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        network = docker.Network(f"{name}-data", name=f"{name}-data", internal=True, opts=child)
        data = data_volume(f"{name}-data", protect=args.protect, parent=self)
        sockets = docker.Volume(f"{name}-sockets", name=f"{name}-sockets", opts=child)
        image = docker.RemoteImage(f"{name}-image", name=args.runtime.image, keep_locally=True, opts=child)

        self.container = service(
            name,
            docker.ContainerArgs(
                image=image.image_id,
                user=USER,
                command=["postgres", *_tuning(args.runtime.memory)],
                # Passwords are SCRAM over the network; the socket takes the system's word for who is calling.
                envs=[
                    pulumi.Output.concat("POSTGRES_PASSWORD=", args.password),
                    "POSTGRES_INITDB_ARGS=--auth-host=scram-sha-256 --auth-local=peer --data-checksums",
                ],
                networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=[self.host])],
                volumes=[
                    docker.ContainerVolumeArgs(volume_name=data.name, container_path="/var/lib/postgresql/data"),
                    docker.ContainerVolumeArgs(volume_name=sockets.name, container_path=SOCKETS),
                ],
                memory=args.runtime.memory,
                shm_size=args.runtime.memory // 4,  # MiB; parallel queries share memory through /dev/shm
                read_only=True,
                tmpfs={"/tmp": "size=64m"},  # noqa: S108 (inside the container)
            ),
            # While the image initialises a new volume its temporary server listens on the socket only: ask by TCP.
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", USER],
                interval="2s",
                timeout="3s",
                retries=5,
                start_period="60s",
            ),
            wait_seconds=120,
            stop_seconds=STOP_SECONDS,
            opts=child,
        )
        self.databases = Job(
            f"{name}-databases",
            JobArgs(
                engine=args.runtime.engine,
                image_id=image.image_id,
                user=USER,
                script="psql -X -q -v ON_ERROR_STOP=1 -f /databases.sql",
                check=_CHECK,
                files={
                    "/databases.sql": render(
                        "databases.sql.j2",
                        superuser=USER,
                        password=args.password,
                        databases=[{"name": each.name, "password": each.password} for each in args.databases],
                    )
                },
                # A new server on a new volume has none of them: the container's id runs the job again.
                environment={
                    "SERVER": self.container.id,
                    "PGUSER": USER,
                    "DATABASES": " ".join(each.name for each in args.databases),
                },
                volumes={SOCKETS: sockets.name},
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

        self.network = network.name
        self.image = image.name
        self.register_outputs({"network": self.network, "image": self.image})


def _tuning(memory: int) -> list[str]:
    """Return `-c` arguments that fit a server of `memory` MiB (a quarter for buffers, as its manual has it)."""
    values = {
        "shared_buffers": f"{memory // 4}MB",
        "effective_cache_size": f"{memory * 3 // 4}MB",
        "maintenance_work_mem": f"{memory // 16}MB",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
    }
    return [word for key, value in values.items() for word in ("-c", f"{key}={value}")]
