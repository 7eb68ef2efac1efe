"""Whatever ends a deployment in the middle, the next run ends it or takes it back."""

import random
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lab.demo import _ssh
from lab.shell import run
from tests.deploy.server import COMPOSE, TWICE, Server
from tests.estate import eventually

KILLS = 10
KILL = "pkill -KILL -u deploy || true"


@pytest.mark.parametrize(("name", "path"), [("carica", "/"), ("carica-ml", "/ml")])
def test_killed_at_any_point_the_next_run_repairs(server: Server, name: str, path: str) -> None:
    chance = random.Random(name)  # noqa: S311 (the same points each time)
    server.update("image", name, "v1")
    began = time.monotonic()
    server.update("image", name, "v2")
    whole = time.monotonic() - began
    for number in range(KILLS // 2):
        asked = ("v1", "v2")[number % 2]
        killed = server.start_update("image", name, asked, "by=killed")
        time.sleep(chance.uniform(0.05, 1) * whole)
        server.sh(KILL)
        killed.wait()
        assert server.get() in ("carica v1", "carica v2")
        server.update("current")
        status = server.status()
        assert status["running"] is None
        # What was begun has been ended; what was not is as if it had not been asked for.
        assert server.answers(path, f"{name} {status['images'][name]}")
        assert [len(server.containers(service)) for service in ("carica", "carica-ml", "proxy")] == [1, 1, 1]
        server.run("test", "!", "-e", "/var/lib/carica/running")
    server.update("image", name, "v2")
    assert server.answers(path, f"{name} v2")


@pytest.mark.parametrize("next_words", [("current",), ("image", "carica-ml", "v1")])
def test_what_was_begun_and_killed_is_not_lost_whatever_comes_next(server: Server, next_words: tuple[str, ...]) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "v2", "by=killed")
    eventually(lambda: len(server.containers("carica")) == 2)
    server.sh(KILL)
    begun.wait()
    server.update(*next_words)
    assert server.answers("/", "carica v2")
    ended, asked = server.history()[-2:]
    assert (ended["who"], ended["what"], ended["outcome"]) == ("killed", "image carica v2", "deployed")
    assert ended["resumed"] is True
    assert asked["what"] == " ".join(next_words)


def test_what_was_killed_before_it_began_is_told(server: Server) -> None:
    running = '{"at":"x","who":"killed","what":"commit y","from":null,"to":null,"seconds":{}}'
    server.run("runuser", "-u", "deploy", "--", "tee", "/var/lib/carica/running", stdin=running)
    server.update("current")
    assert [each["outcome"] for each in server.history()[-2:]] == ["interrupted", "deployed"]


def test_a_broken_release_that_was_killed_is_taken_back(server: Server) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "sick")
    eventually(lambda: len(server.containers("carica")) == 2)
    server.sh(KILL)
    begun.wait()
    server.update("image", "carica", "v2")
    assert server.answers("/", "carica v2")
    assert [each["outcome"] for each in server.history()[-2:]] == ["rolled back", "deployed"]


def test_told_to_end_it_is_not_taken_for_deployed(server: Server) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "v2", "by=stopped")
    eventually(lambda: len(server.containers("carica")) == 2)
    server.sh("pkill -TERM -u deploy --full '^bash /usr/local/bin/carica-deploy '")
    assert begun.wait() == 143
    record = server.history()[-1]
    assert (record["who"], record["outcome"], record["code"]) == ("stopped", "failed", 143)
    server.run("test", "-s", "/var/lib/carica/running")
    server.update("current")
    assert server.answers("/", "carica v2")
    assert [each["outcome"] for each in server.history()[-2:]] == ["deployed", "deployed"]


def test_a_rollback_that_was_killed_is_gone_on_with(server: Server) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "sick")
    assert begun.stdout
    assert any("rolling back" in line for line in begun.stdout)
    server.sh(KILL)
    begun.wait()
    said = server.update("current")
    assert '"carica":"sick"' not in said
    assert server.history()[-2]["outcome"] == "rolled back"
    assert server.answers("/", "carica v1")


def test_what_cannot_be_ended_keeps_the_next_one_out_until_it_can(server: Server) -> None:
    server.update("image", "carica", "v1")
    begun = server.start_update("image", "carica", "v2", "by=killed")
    eventually(lambda: len(server.containers("carica")) == 2)
    server.sh(KILL)
    begun.wait()
    with server.full_disk():
        for _ in range(2):
            assert "could not be ended" in server.update("image", "carica-ml", "v1", "by=next", code=1)
    server.update("image", "carica-ml", "v2")
    assert server.answers("/", "carica v2")
    assert [each["who"] for each in server.history()[-2:]] == ["killed", "deploy"]


@pytest.mark.parametrize("about", ["", "nonsense"])
def test_a_release_that_lost_something_is_given_up_and_keeps_nobody_out(server: Server, about: str) -> None:
    running = '{"at":"x","who":"killed","what":"commit y","from":null,"to":null,"seconds":{},"release":"lost"}'
    server.run("runuser", "-u", "deploy", "--", "tee", "/var/lib/carica/running", stdin=running)
    server.sh('cd /var/lib/carica/releases; mkdir -p lost; printf %s "$1" >lost/about', about)
    server.update("current")
    assert [each["outcome"] for each in server.history()[-2:]] == ["interrupted", "deployed"]
    server.sh("rm -r /var/lib/carica/releases/lost; runuser -u deploy -- sh -c 'echo x >/var/lib/carica/running'")
    server.update("current")
    server.run("test", "!", "-e", "/var/lib/carica/running")


def test_after_a_reboot_the_only_one_that_serves_is_kept_until_another_does(server: Server) -> None:
    check = "test ! -e /tmp/hold && wget -qO /dev/null http://127.0.0.1:8080/healthz"
    compose = COMPOSE.replace(TWICE, f'    healthcheck: {{test: [CMD-SHELL, "{check}"], retries: 999}}\n{TWICE}')
    assert compose != COMPOSE
    server.update("commit", server.push({"compose.yaml": compose}))
    (old,) = server.containers("carica")
    run("hold", ["docker", "exec", old, "touch", "/tmp/hold"])  # noqa: S108
    run("reboot", ["docker", "restart", "--time", "0", old])
    deployment = server.start_update("commit", server.push({"compose.yaml": COMPOSE}))
    try:
        assert eventually(lambda: len(server.containers("carica")) == 2)
        assert old in server.containers("carica")
        run("release", ["docker", "exec", old, "rm", "/tmp/hold"])  # noqa: S108
        assert deployment.wait() == 0
    finally:
        server.update("commit", server.push({"compose.yaml": COMPOSE}))
    assert old not in server.containers("carica")


def test_a_checkout_that_lost_something_is_another_one_even_for_an_image(server: Server) -> None:
    damage = (
        "cd /var/lib/carica/checkout; find .git/objects -type f -exec truncate -s 0 {} +; rm compose.yaml .git/index"
    )
    server.sh(f"chmod -R u+w /var/lib/carica/checkout; {damage}")
    server.update("image", "carica", "v1")
    server.sh(damage)
    commit = server.push({"VERSION": "after the damage\n"})
    server.update("commit", commit)
    assert server.status()["commit"] == commit


def test_what_git_leaves_when_it_is_killed_is_cleared(server: Server) -> None:
    server.sh("touch /var/lib/carica/checkout/.git/index.lock /var/lib/carica/checkout/.git/HEAD.lock")
    commit = server.push({"VERSION": "after a lock\n"})
    server.update("commit", commit)
    server.sh("echo >/var/lib/carica/checkout/.git/HEAD")
    commit = server.push({"VERSION": "after a power cut\n"})
    server.update("commit", commit)
    assert server.status()["commit"] == commit


def test_a_connection_that_is_lost_ends_no_deployment(server: Server) -> None:
    server.update("image", "carica", "v1")
    with tempfile.TemporaryDirectory() as folder:
        words = _ssh(Path(folder), "kestra_ed25519", server.ssh_port)
        ssh = subprocess.Popen([*words, "deploy@127.0.0.1", "image carica v2"], stdout=subprocess.PIPE)
        assert ssh.stdout
        assert ssh.stdout.readline() == b"carica-update: started\n"
        ssh.kill()
        ssh.wait()
    eventually(lambda: server.status()["images"]["carica"] == "v2", 120)
    eventually(lambda: server.status()["running"] is None)
    assert server.answers("/", "carica v2")
    assert server.sh("tail -n 1 /var/lib/carica/log").startswith("deployed commit ")


def test_kestras_key_is_good_for_nothing_but_the_script(server: Server) -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = _ssh(Path(folder), "kestra_ed25519", server.ssh_port)
        target = "deploy@127.0.0.1"

        def attempt(*command: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(command, text=True, capture_output=True, timeout=20, check=False)

        assert attempt(*words, target, "status").stdout.startswith('{"')
        assert "PTY allocation request failed" in attempt(*words, "-tt", target, "status").stderr
        assert attempt(*words, target).returncode == 2
        assert attempt(*words, target, "bash -i").returncode == 2
        scp = ["scp", *words[1:3], "-P", words[4], *words[5:], __file__, f"{target}:/tmp/file"]
        assert attempt(*scp).returncode != 0
        assert attempt("scp", "-O", *scp[1:]).returncode != 0
        assert attempt("sftp", *scp[1:-2], target).returncode != 0
        server.run("test", "!", "-e", "/tmp/file")  # noqa: S108
        forwarded = attempt(*words, "-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", target, "status")
        assert "forwarding failed" in forwarded.stderr
        assert "administratively prohibited" in attempt(*words, "-W", "127.0.0.1:22", target).stderr


def test_kestras_key_is_good_from_the_addresses_that_are_named_and_no_others(server: Server) -> None:
    from lab import keys
    from lab.demo import as_kestra
    from lab.shell import LabError
    from tests.deploy.server import REPOSITORY

    gateway = run("network", ["docker", "network", "inspect", "--format",
                              "{{(index .IPAM.Config 0).Gateway}}", server.name]).strip()  # fmt: skip
    key = keys.ssh_key("kestra_ed25519").public
    try:
        server.prepare("deploy", REPOSITORY, key, f"203.0.113.7/32,{gateway}/32")
        assert "commit" in as_kestra("status", server.ssh_port)
        server.prepare("deploy", REPOSITORY, key, "203.0.113.7/32")
        with pytest.raises(LabError, match="Permission denied"):
            as_kestra("status", server.ssh_port)
    finally:
        server.prepare("deploy", REPOSITORY, key)
