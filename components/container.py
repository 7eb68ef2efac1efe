"""The rules every container on the desk obeys, in one place (DESIGN, rule 1; policies/ checks the same)."""

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a part runs on."""

    engine: str
    """The Docker engine, unix:///… or ssh://user@host."""
    image: str
    """Reference of the official image."""
    memory: int
    """Limit in MiB."""


def data_volume(name: str, *, protect: bool, parent: pulumi.Resource) -> docker.Volume:
    """Declare a volume whose content is worth something: with `protect` nothing deletes it.

    It has nothing but a name: a changed label would replace it, data and all (plugin_behaviour.md).
    """
    return docker.Volume(
        name, name=name, opts=pulumi.ResourceOptions(parent=parent, protect=protect, retain_on_delete=protect)
    )


def service(
    name: str,
    args: docker.ContainerArgs,
    *,
    healthcheck: docker.ContainerHealthcheckArgs,
    wait_seconds: int,
    stop_seconds: int,
    opts: pulumi.ResourceOptions,
) -> docker.Container:
    """Declare a long-running container that is healthy before anything that depends on it is touched.

    It has `wait_seconds` to become healthy and `stop_seconds` to end by itself before it is killed.
    """
    args.healthcheck = healthcheck
    args.wait = True
    args.wait_timeout = wait_seconds
    args.restart = "unless-stopped"
    # Unset means SIGKILL at once (plugin_behaviour.md); `stop_timeout` says the same to whoever runs `docker stop`.
    args.destroy_grace_seconds = stop_seconds
    args.stop_timeout = stop_seconds
    args.name = name
    args.memory_swap = args.memory  # left out, every second preview shows a change (plugin_behaviour.md)
    args.log_driver = "json-file"
    args.log_opts = {"max-size": "10m", "max-file": "3"}
    args.security_opts = ["no-new-privileges:true"]
    args.capabilities = docker.ContainerCapabilitiesArgs(drops=["ALL"])  # none of the desk's programs needs one
    replacing = pulumi.ResourceOptions(
        # A change of these is reported as updated and is not (terraform-provider-docker#988).
        replace_on_changes=["healthcheck", "tmpfs"],
        # Names and ports are taken until the old container is gone (pulumi-docker#1356).
        delete_before_replace=True,
    )
    return docker.Container(name, args, opts=pulumi.ResourceOptions.merge(replacing, opts))
