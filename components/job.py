"""Job: a one-shot container that must succeed."""

import io
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

MEMORY = "128m"
SECONDS = 300
"""A job that takes longer hangs, and is ended."""
UNDONE = 1
"""What a check ends with; other codes are failures of the check."""


class JobError(Exception):
    """A job ended with an exit code other than 0; the text is what it printed."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """What a job runs, and with what. Any change runs it again."""

    engine: str
    """The Docker engine, unix:///… or ssh://user@host."""
    image_id: pulumi.Input[str]
    """The image, already pulled: the part's own, so that no client tool is needed anywhere."""
    user: str
    """The account it runs as."""
    script: str
    """POSIX shell, run with `-eu`. What it prints is shown when it fails: no secret in it."""
    check: str = ""
    """Shell that ends with 1 where what the job did is undone; a refresh runs it. Empty: a refresh finds nothing."""
    volumes: Mapping[str, pulumi.Input[str]]
    """Path in the container → name of the volume it works on."""
    files: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Path → content of files laid into the container; this is how it is handed secrets."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Name → value; nothing secret."""
    capabilities: Sequence[str] = ()
    """Linux capabilities it keeps; none by default."""


class JobProvider(ResourceProvider):
    """Runs jobs.

    Not a `docker.Container`: that counts as created whatever its exit code was, so a failed job would never be tried
    again, and its ended container would keep the files it was handed (plugin_behaviour.md, one-shot jobs).
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run the job."""
        _succeed(props)
        return CreateResult(props["name"], props)

    def diff(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Every change runs it again."""
        return DiffResult(changes=any(olds.get(key) != news[key] for key in news if key != "__provider"))

    def update(self, id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Run the job."""
        _succeed(news)
        return UpdateResult(news)

    def read(self, id: str, props: dict[str, Any]) -> ReadResult:
        """Look whether the work still stands, where the job can tell: what is undone is gone, and run by the next up.

        A check that could not be made says nothing: the engine or the part itself is gone, which the same refresh sees.
        """
        if not props["check"]:
            return ReadResult(id, props)
        code, log = _run(props, props["check"])
        if code == UNDONE:
            return ReadResult("", {})
        if code:
            print(f"warning: {id} could not be looked at (exit code {code}): {log}", file=sys.stderr)
        return ReadResult(id, props)


class Job(Resource, module="carica", name="Job"):
    """A script that has succeeded in a container of its own, which is gone afterwards.

    Preview shows when it would run. If it fails, `up` fails with what it printed, what depends on it is left as it is,
    and the next `up` tries again.
    """

    def __init__(self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the job."""
        given = {
            "name": name,
            "engine": args.engine,
            "image": args.image_id,
            "user": args.user,
            "script": args.script,
            "check": args.check,
            "volumes": dict(args.volumes),
            # One output for all of them: secret as a whole as soon as one of them is.
            "files": pulumi.Output.from_input(dict(args.files)),
            "environment": dict(args.environment),
            "capabilities": list(args.capabilities),
        }
        super().__init__(JobProvider(), name, given, opts)


def _succeed(props: dict[str, Any]) -> None:
    """Run the job to its end; raises JobError."""
    code, log = _run(props, props["script"])
    if code:
        raise JobError(f"{props['name']} ended with exit code {code}; the next up tries again.\n{log}")


def _run(props: dict[str, Any], script: str) -> tuple[int, str]:
    """Run `script` to its end with all that `props` give; return its exit code and what it printed.

    Raises JobError when it takes too long. Leaves nothing behind.
    """
    import docker
    import requests

    # Over ssh:// this is paramiko: the SDK's other way forks `ssh` in ways that break under gRPC, which serves this.
    client = docker.DockerClient(base_url=props["engine"])
    # What a run that was killed half way left: it holds the volumes, and the files it was handed.
    for left in client.containers.list(all=True, filters={"label": f"carica.job={props['name']}"}):
        left.remove(force=True)
    container = client.containers.create(
        props["image"],
        entrypoint=["/bin/sh", "-euc"],
        command=[script],
        user=props["user"],
        environment=props["environment"],
        volumes={volume: {"bind": path, "mode": "rw"} for path, volume in props["volumes"].items()},
        network_mode="none",
        mem_limit=MEMORY,
        memswap_limit=MEMORY,
        cap_drop=["ALL"],
        cap_add=props["capabilities"],
        security_opt=["no-new-privileges:true"],
        labels={"carica.job": props["name"]},
    )
    try:
        container.put_archive("/", _archive(props["files"]))
        container.start()
        code = container.wait(timeout=SECONDS)["StatusCode"]
        return int(code), container.logs().decode(errors="replace").strip()
    except requests.exceptions.RequestException as error:
        raise JobError(f"{props['name']} did not end within {SECONDS} s: {error}") from None
    finally:
        container.remove(force=True)


def _archive(files: Mapping[str, str]) -> bytes:
    """Return a tar archive of `files`, which any account in the container may read."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(content.encode())
            entry.mode = 0o444
            tar.addfile(entry, io.BytesIO(content.encode()))
    return archive.getvalue()
