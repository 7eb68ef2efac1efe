"""Job: a one-shot container that must succeed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.container import one_shot

MEMORY_MIB = 128

_ATTEMPT = re.compile(r"attempt (?P<number>\d+)(?P<succeeded> succeeded)?")


class JobError(Exception):
    """A job ended with an exit code other than 0; the text is what it printed."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """What a job runs, and with what."""

    image_id: pulumi.Input[str]
    """The image, already pulled: the part's own, so that no client tool is needed anywhere."""
    user: str
    """The account it runs as."""
    script: str
    """POSIX shell, run with `-eu`. What it prints is shown when it fails and kept in state: no secret in it."""
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Path → content of files laid into the container; this is how it is handed secrets."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Name → value. A value that changes runs the job again."""
    volumes: tuple[docker.ContainerVolumeArgs, ...] = ()
    """Where it works."""
    capabilities: tuple[str, ...] = ()
    """Linux capabilities it keeps; none by default."""
    after: Sequence[pulumi.Input[pulumi.Resource]] = ()
    """What must be there first."""


def _next_attempt(container: str, job: pulumi.Resource) -> int:
    """Return the attempt that the last log tells of, or the one after it when that log does not end with success."""
    try:
        lines = docker.get_logs(
            name=container, show_stdout=True, show_stderr=False, opts=pulumi.InvokeOptions(parent=job)
        ).logs_list_strings
    except Exception as error:
        if "No such container" in str(error):
            return 1
        raise
    said = [found for line in lines if (found := _ATTEMPT.fullmatch(line.strip()))]
    if not said:
        return 1
    return int(said[-1]["number"]) + (0 if said[-1]["succeeded"] else 1)


class Job(pulumi.ComponentResource):
    """Runs a script in a container of its own, once for each set of inputs, and fails `up` when it fails.

    pulumi-docker counts an ended container as created whatever its exit code was, so a failed job would never be tried
    again. The number of the attempt therefore stands in the container's log: as long as the last log does not end with
    success, the next `up` asks for the next attempt.
    """

    done: pulumi.Output[pulumi.Resource]
    """The container once its script has succeeded: what needs the job has it in `depends_on`."""

    def __init__(self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the job."""
        super().__init__("carica:job:Job", name, None, opts)
        attempt = _next_attempt(name, self)
        container = one_shot(
            name,
            docker.ContainerArgs(
                image=args.image_id,
                user=args.user,
                entrypoints=["/bin/sh", "-euc"],
                command=[f'echo "attempt $ATTEMPT"\n{args.script}\necho "attempt $ATTEMPT succeeded"'],
                envs=[f"ATTEMPT={attempt}", *(pulumi.Output.concat(k, "=", v) for k, v in args.environment.items())],
                uploads=[
                    docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
                    for path, content in args.files.items()
                ],
                network_mode="none",
                memory=MEMORY_MIB,
                capabilities=docker.ContainerCapabilitiesArgs(adds=list(args.capabilities), drops=["ALL"]),
                volumes=list(args.volumes),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.after),
        )

        def ended_well(result: tuple[int, str]) -> pulumi.Resource:
            exit_code, log = result
            if exit_code != 0:
                raise JobError(f"{name} ended with exit code {exit_code}; it is tried again on the next up.\n{log}")
            return container

        # An unknown `done` (in a preview) still orders what depends on it, and makes nothing else unknown.
        self.done = pulumi.Output.all(container.exit_code, container.container_logs).apply(
            lambda result: ended_well((result[0], result[1]))
        )
        self.register_outputs({"exit_code": container.exit_code})
