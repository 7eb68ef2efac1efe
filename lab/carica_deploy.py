"""carica-deploy: what runs on the lab's deploy host. The repository's first files are in lab/carica-deploy."""

from lab import apps, github, registry
from lab.paths import ROOT
from lab.shell import run

REPOSITORY = "centaurin/carica-deploy"
FILES = ROOT / "lab" / "carica-deploy"
PORT = 22081
"""Where the dev desk's applications answer."""


def project(stack: str) -> str:
    """Return the name under which compose keeps a stack's applications: all stacks share this machine's engine."""
    return f"carica-{stack}-app"


def environment(stack: str, port: int = PORT, registry_port: int = registry.PORT) -> dict[str, str]:
    """Return what the compose file is filled in with on a stack's deploy host."""
    return {
        "COMPOSE_PROJECT_NAME": project(stack),
        "HTTP_BIND": f"127.0.0.1:{port}",
        "REGISTRY": f"{registry.address(registry_port)}/{apps.OWNER}",
    }


def seed(client: github.Client) -> None:
    """Commit the files to the repository, which is made if it does not exist, unless it has a compose file.

    No hook hears of it: the first deployment is Pulumi's.
    """
    with client.api(client.token({"contents": "read"})) as api:
        changes = api.get(f"/repos/{REPOSITORY}/commits?path=compose.yaml")
    if not (changes.is_success and changes.json()):
        files = {file.name: file.read_text() for file in sorted(FILES.iterdir())}
        client.commit(REPOSITORY, files, message="What runs on the deploy host", quietly=True)


def remove(stack: str) -> None:
    """Remove a stack's applications with their networks and volumes."""
    filter_ = ["--quiet", "--filter", f"label=com.docker.compose.project={project(stack)}"]
    for what, listing, removal in (
        ("container", ["--all"], ["--force", "--volumes"]),
        ("network", [], []),
        ("volume", [], []),
    ):
        if found := run(what, ["docker", what, "ls", *listing, *filter_]).split():
            run(what, ["docker", what, "rm", *removal, *found])
