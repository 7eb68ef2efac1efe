"""The lab's images of PostgreSQL, HAProxy and the deploy host behave like what they stand for."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import keys
from lab.deploy_host import IMAGE
from lab.image_builder import images
from lab.shell import LabError, run
from tests.estate import eventually

Start = Callable[..., str]
CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend f
    bind :8080
    http-request return status 200 content-type text/plain string {word}
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start containers as the desk does, unprivileged; remove them and their volumes afterwards."""
    names: list[str] = []

    def start(image: str, *words: str, options: tuple[str, ...] = ()) -> str:
        name = f"carica-test-{secrets.token_hex(4)}"
        names.append(name)
        docker("run", "--detach", "--name", name, *options, image, *words)
        return name

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name)


def docker(*words: str) -> str:
    return run("docker", ["docker", *words])


def inside(name: str, *words: str) -> str:
    """Run a program in a container; return what it prints, or nothing when it fails."""
    done = subprocess.run(["docker", "exec", name, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")  # noqa: S108


def postgres(start: Start, reference: str, *, options: tuple[str, ...] = ()) -> str:
    variables = ("--env", "POSTGRES_PASSWORD=a-password", "--env", "POSTGRES_INITDB_ARGS=--auth-local=peer")
    run_ = ("--tmpfs", "/var/run/postgresql:uid=999,gid=999")
    return start(reference, options=("--user", "postgres", *HARDENED, *run_, *variables, *options))


def ready(name: str) -> Callable[[], str]:
    return lambda: inside(name, "pg_isready", "-h", "127.0.0.1", "-U", "postgres")


def log_in(name: str, password: str) -> str:
    words = ["env", f"PGPASSWORD={password}", "sh", "-c", "psql -U postgres -h $(hostname -i) -Atc 'SELECT 42'"]
    return inside(name, *words)


def test_postgres_starts_unprivileged_and_wants_the_password_over_the_network(
    start: Start, references: dict[str, str]
) -> None:
    name = postgres(start, references["postgres"])
    eventually(ready(name))
    assert inside(name, "id", "-un") == "postgres"
    assert log_in(name, "a-password") == "42"
    assert log_in(name, "another") == ""


def test_postgres_keeps_its_data_over_a_restart(start: Start, references: dict[str, str]) -> None:
    name = postgres(start, references["postgres"])
    eventually(ready(name))
    assert inside(name, "psql", "-Atc", "CREATE TABLE kept AS SELECT 7 AS number") == "SELECT 1"
    docker("restart", name)
    eventually(ready(name))
    assert inside(name, "psql", "-Atc", "SELECT number FROM kept") == "7"
    assert "shutting down" in docker_log(name)


def docker_log(name: str) -> str:
    done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_postgres_that_was_killed_while_it_initialised_begins_again(start: Start, references: dict[str, str]) -> None:
    name = postgres(start, references["postgres"])
    eventually(lambda: "initdb" in docker_log(name) or "creating" in docker_log(name))
    docker("kill", name)
    docker("start", name)
    eventually(ready(name))
    assert log_in(name, "a-password") == "42"


def test_postgres_without_a_password_refuses_to_start(start: Start, references: dict[str, str]) -> None:
    name = start(references["postgres"], options=("--user", "postgres"))
    eventually(lambda: "set POSTGRES_PASSWORD" in docker_log(name))


def test_haproxy_is_new_enough_and_has_what_the_edge_needs(references: dict[str, str]) -> None:
    shown = docker("run", "--rm", references["haproxy"], "haproxy", "-vv")
    assert "version 3.4." in shown
    assert "PROMEX" in shown
    assert "OpenSSL 3.5" in shown or "OpenSSL 3.6" in shown or "OpenSSL 4." in shown


def test_haproxy_serves_and_reloads_over_its_master_socket(
    start: Start, references: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "haproxy.cfg"
    tmp_path.chmod(0o755)
    file.write_text(CONFIGURATION.format(word="one"))
    options = ("--volume", f"{tmp_path}:/usr/local/etc/haproxy:ro", "--cap-drop", "ALL")
    command = ("haproxy", "-S", "/var/lib/haproxy/master.sock", "-f", "/usr/local/etc/haproxy/haproxy.cfg")
    name = start(references["haproxy"], *command, options=options)
    fetch = ("wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
    assert eventually(lambda: inside(name, *fetch)) == "one"
    assert inside(name, "id", "-u") == "99"

    file.write_text(CONFIGURATION.format(word="two"))
    reload = ("sh", "-c", "echo reload | socat -t10 - UNIX-CONNECT:/var/lib/haproxy/master.sock")
    assert "Success=1" in inside(name, *reload)
    assert eventually(lambda: inside(name, *fetch) == "two")

    file.write_text("this is no configuration\n")
    assert "Success=1" not in inside(name, *reload)
    assert eventually(lambda: inside(name, *fetch) == "two")


def test_the_deploy_host_refuses_passwords_and_unknown_keys(start: Start, references: dict[str, str]) -> None:
    with pytest.raises(LabError, match="ADMIN_AUTHORIZED_KEY"):
        docker("run", "--rm", IMAGE)
    admin, host = keys.ssh_key("admin_ed25519"), keys.ssh_key("deploy_host_ed25519")
    variables = ("--env", f"ADMIN_AUTHORIZED_KEY={admin.public}", "--env", f"SSH_HOST_KEY={host.private}")
    name = start(IMAGE, options=("--init", *variables))
    eventually(lambda: "Server listening" in docker_log(name))
    offered = inside(name, "sshd", "-T")
    assert "passwordauthentication no" in offered
    assert "permitrootlogin without-password" in offered
    assert inside(name, "ssh-keygen", "-y", "-f", "/etc/ssh/host_key").startswith(host.public)


def test_a_stand_in_that_is_present_is_not_built_again(references: dict[str, str]) -> None:
    before = docker("image", "inspect", "--format", "{{.Id}}", *references.values())
    lines = images(references)
    assert docker("image", "inspect", "--format", "{{.Id}}", *references.values()) == before
    assert all("stand-in" in line or "official" in line for line in lines)
