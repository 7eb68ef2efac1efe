"""The original set-up under compose v2, which is built from its Go module."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import go
from lab.cache import cached
from lab.shell import run
from tests.bench.answer import until_answered
from tests.estate import free_port

HERE = Path(__file__).parent
LOGIN = ("admin@example.com", "Kestra-bench-1")


def compose() -> Path:
    """Return docker-compose, built the first time."""

    def build(into: Path) -> None:
        go.build("docker compose", HERE / "compose", "github.com/docker/compose/v2/cmd", into / "docker-compose")

    return cached("compose", (HERE / "compose/go.mod", HERE / "compose/go.sum"), build) / "docker-compose"


@contextmanager
def original() -> Iterator[float]:
    """Bring the original up from nothing; yield the seconds until Kestra answers through its edge."""
    port = free_port()
    env = {"BENCH_PORT": str(port)}
    command = [str(compose()), "--file", str(HERE / "original/compose.yaml")]
    # Whatever a run that was killed left behind.
    run("taking the original apart", [*command, "down", "--volumes", "--timeout", "10"], env=env, timeout=120)
    try:
        yield until_answered(
            "the original",
            [*command, "up", "--detach", "--wait", "--quiet-pull"],
            cwd=HERE,
            env=env,
            url=f"http://127.0.0.1:{port}",
            login=LOGIN,
        )
    finally:
        run("taking the original apart", [*command, "down", "--volumes", "--timeout", "10"], env=env, timeout=120)
