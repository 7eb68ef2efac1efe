"""Jobs on the real engine: success, failure with its output, and nothing left behind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.job import JobError, JobProvider
from lab import keys
from lab.deploy_host import IMAGE, wait
from lab.engine import engine
from lab.image_builder import images
from tests.estate import free_port


@pytest.fixture(scope="module", autouse=True)
def machine() -> None:
    engine()
    images({})


@pytest.fixture
def volume() -> Any:
    name = "carica-test-job"
    subprocess.run(["docker", "volume", "create", name], check=True, stdout=subprocess.DEVNULL)
    yield name
    subprocess.run(["docker", "volume", "rm", name], check=True, stdout=subprocess.DEVNULL)


def properties(volume: str, script: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": "a-job", "engine": "unix:///var/run/docker.sock", "image": IMAGE, "user": "root", "script": script,
        "check": "", "volumes": {"/data": volume}, "files": {}, "environment": {}, "capabilities": [],
    } | changed  # fmt: skip


def test_a_job_works_on_its_volume_with_its_files_and_environment(volume: str) -> None:
    provider = JobProvider()
    made = provider.create(
        properties(
            volume, 'cat /given/secret > /data/seen; echo "$WORD" >> /data/seen',
            files={"/given/secret": "a secret"}, environment={"WORD": "and a word"},
        )
    )  # fmt: skip
    assert made.id == "a-job"
    with pytest.raises(JobError, match="a secretand a word"):
        provider.create(properties(volume, "cat /data/seen; exit 1"))


def test_a_failed_job_says_what_it_printed_and_with_which_code(volume: str) -> None:
    with pytest.raises(JobError, match=r"a-job ended with exit code 7; the next up tries again\.\n") as failed:
        JobProvider().create(properties(volume, "echo out; echo err >&2; exit 7"))
    # The engine keeps no order between the two.
    assert {"out", "err"} <= set(str(failed.value).splitlines())


def test_a_job_stops_at_the_first_command_that_fails(volume: str) -> None:
    with pytest.raises(JobError) as failed:
        JobProvider().create(properties(volume, "false\necho not reached"))
    assert "not reached" not in str(failed.value)


def test_a_job_has_no_network_and_no_capability(volume: str) -> None:
    with pytest.raises(JobError) as failed:
        JobProvider().create(properties(volume, "cat /proc/net/dev; grep CapEff /proc/self/status; exit 1"))
    assert "eth0" not in str(failed.value)
    assert "CapEff:\t0000000000000000" in str(failed.value)


def test_what_a_killed_run_left_is_removed_first(volume: str) -> None:
    """It would hold the volume, and the files it was handed."""
    left = subprocess.run(
        ["docker", "create", "--label", "carica.job=a-job", "--volume", f"{volume}:/data", IMAGE, "true"],
        text=True, stdout=subprocess.PIPE, check=True,
    ).stdout.strip()  # fmt: skip
    JobProvider().create(properties(volume, "true"))
    assert subprocess.run(["docker", "inspect", left], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(("check", "stands"), [("", True), ("true", True), ("exit 1", False), ("exit 2", True)])
def test_a_refresh_finds_a_job_undone_only_where_its_check_says_so(volume: str, check: str, stands: bool) -> None:
    read = JobProvider().read("a-job", properties(volume, "true", check=check))
    assert read.id == ("a-job" if stands else "")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An engine behind real SSH (this machine's, through a container with sshd), and a home that knows the server."""
    admin, host = keys.ssh_key("admin_ed25519"), keys.ssh_key("deploy_host_ed25519")
    port, name = free_port(), "carica-test-job-server"
    command = [
        "docker", "run", "--detach", "--name", name, "--init", "--publish", f"127.0.0.1:{port}:22",
        "--volume", "/var/run/docker.sock:/var/run/docker.sock", "--volume", "/usr/bin/docker:/usr/bin/docker:ro",
        "--env", "ADMIN_AUTHORIZED_KEY", "--env", "SSH_HOST_KEY", IMAGE,
    ]  # fmt: skip
    variables = {"ADMIN_AUTHORIZED_KEY": admin.public, "SSH_HOST_KEY": host.private}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | variables)
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    keys.keep(ssh / "id_ed25519", admin.private)
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {host.public}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        wait(port)
        yield f"ssh://root@127.0.0.1:{port}"
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, stdout=subprocess.DEVNULL)


def test_a_job_on_a_server_whose_key_is_known(volume: str, server: str, tmp_path: Path) -> None:
    JobProvider().create(properties(volume, "echo there > /data/seen", engine=server))
    with pytest.raises(JobError, match="there"):
        JobProvider().create(properties(volume, "cat /data/seen; exit 1"))
    (tmp_path / ".ssh/known_hosts").unlink()
    with pytest.raises(Exception, match="not found in known_hosts"):
        JobProvider().create(properties(volume, "true", engine=server))


def test_a_change_runs_a_job_again_and_nothing_else_does(volume: str) -> None:
    olds, provider = properties(volume, "true"), JobProvider()
    assert provider.diff("a-job", olds, dict(olds)).changes is False
    for key, value in (("script", "false"), ("environment", {"A": "1"}), ("files", {"/x": "y"}), ("image", "other")):
        assert provider.diff("a-job", olds, {**olds, key: value}).changes is True


def test_no_container_is_left_behind() -> None:
    shown = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", "label=carica.job=a-job"],
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert shown == ""
