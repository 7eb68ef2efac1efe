"""Last, as the name sorts: taking the desk apart."""

import subprocess

from lab.demo import as_kestra
from tests.estate import Estate


def left(desk: Estate, kind: str) -> set[str]:
    """Names of Docker's `kind` that bear the desk's prefix, less the lab's own and what the deploy host runs."""
    words = ["docker", kind, "ls", "--filter", f"name={desk.prefix}-", "--format"]
    words += ["{{.Names}}", "--all"] if kind == "container" else ["{{.Name}}"]
    shown = subprocess.run(words, text=True, stdout=subprocess.PIPE, check=True).stdout.split()
    labs = tuple(f"{desk.prefix}-{part}" for part in ("deploy-host", "github", "lab", "registry", "app"))
    return {name for name in shown if not name.startswith(labs)}


def test_destroy_removes_the_desk_even_when_kestra_is_gone_and_leaves_the_deploy_host_serving(desk: Estate) -> None:
    before = as_kestra("status", desk.ssh_port)
    subprocess.run(["docker", "rm", "--force", f"{desk.prefix}-kestra"], check=True, stdout=subprocess.DEVNULL)
    outcome = desk.destroy()
    assert outcome.code == 0, outcome.text
    assert [left(desk, kind) for kind in ("container", "volume", "network")] == [set(), set(), set()]
    assert as_kestra("status", desk.ssh_port) == before
