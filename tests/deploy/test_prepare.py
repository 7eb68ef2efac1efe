"""deploy/prepare.sh on a Debian server: what it refuses, what it installs, and that configuration stays data."""

import secrets
import subprocess
from collections.abc import Iterator

import pytest

from lab import deploy_host
from lab.engine import engine, socket
from lab.image_builder import images
from lab.paths import ROOT
from lab.shell import run
from tests.deploy.server import Server

KEY = "ssh-ed25519 AAAA kestra"
GRANTED = 'restrict,command="/usr/local/bin/carica-update" '
SEED = """
groupadd --force --non-unique --gid "$(stat --format %g /var/run/docker.sock)" docker
mkdir -p /srv/git && git init --quiet --bare --initial-branch main /srv/git/deploy.git
"""
REPOSITORY = "file:///srv/git/deploy.git"
OTHER_DOCKER = """#!/bin/sh
# A server's own docker, whose compose is of version COMPOSE.
if [ "$1" = compose ]; then [ -s /tmp/compose ] && cat /tmp/compose; else exec /usr/bin/docker "$@"; fi
"""
OTHER_APT = """#!/bin/sh
# A distribution that offers what /tmp/offered says, and installs a compose.
case $1 in
    policy) sed -n "s/^$2 /  Candidate: /p" /tmp/offered ;;
    *) echo "$*" >>/tmp/installed; case $* in *docker-compose*) echo 2.27.0 >/tmp/compose ;; esac ;;
esac
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server that nothing was done to."""
    engine()
    images({})
    name = f"carica-test-{secrets.token_hex(3)}"
    run("server", ["docker", "run", "--detach", "--init", "--rm", "--name", name, "--network", "none",
                   "--volume", f"{socket()}:/var/run/docker.sock", deploy_host.IMAGE, "sleep", "infinity"])  # fmt: skip
    try:
        server = Server(name, 0, 0, 0)
        server.sh(SEED)
        server.prepare("deploy", REPOSITORY, KEY)
        yield server
    finally:
        run("server", ["docker", "rm", "--force", name])


def test_the_account_lets_kestras_key_in_for_the_script_alone(plain: Server) -> None:
    assert plain.run("cat", "/home/deploy/.ssh/authorized_keys") == f"{GRANTED}{KEY}\n"
    assert plain.run("stat", "-c", "%U %a", "/home/deploy/.ssh/authorized_keys") == "deploy 600\n"


def test_the_account_may_use_the_engine_and_its_state_is_its_own(plain: Server) -> None:
    assert plain.run("runuser", "-u", "deploy", "--", "docker", "version", "--format", "{{.Server.Version}}").strip()
    assert plain.run("stat", "-c", "%U %a", "/var/lib/carica") == "deploy 755\n"


def test_preparing_again_takes_a_new_key_and_drops_the_old_one(plain: Server) -> None:
    plain.prepare("deploy", REPOSITORY, "ssh-ed25519 BBBB new", "203.0.113.7/32")
    granted = GRANTED.replace("restrict,", 'restrict,from="203.0.113.7/32",')
    assert plain.run("cat", "/home/deploy/.ssh/authorized_keys") == f"{granted}ssh-ed25519 BBBB new\n"
    plain.prepare("deploy", REPOSITORY, KEY)
    assert plain.run("cat", "/home/deploy/.ssh/authorized_keys") == f"{GRANTED}{KEY}\n"


def test_preparing_again_says_and_changes_nothing(plain: Server) -> None:
    look = "cat /etc/carica/deploy.conf ~deploy/.ssh/authorized_keys; id deploy; stat -c %a /var/lib/carica /etc/carica"
    before = plain.sh(look)
    assert plain.prepare("deploy", REPOSITORY, KEY) == ""
    assert plain.sh(look) == before


def test_an_account_that_somebody_uses_is_left_alone(plain: Server) -> None:
    plain.run("useradd", "--create-home", "person")
    plain.sh("mkdir ~person/.ssh; echo 'ssh-ed25519 CCCC person' >~person/.ssh/authorized_keys")
    assert "somebody uses it" in plain.prepare("person", REPOSITORY, KEY, code=1)
    assert plain.sh("cat ~person/.ssh/authorized_keys; id -nG person") == "ssh-ed25519 CCCC person\nperson\n"
    assert "not as root" in plain.prepare("root", REPOSITORY, KEY, code=1)


def test_a_link_laid_by_the_account_leads_root_nowhere(plain: Server) -> None:
    plain.run("runuser", "-u", "deploy", "--", "sh", "-euc",
              "rm -rf ~/.ssh; mkdir ~/.ssh; ln -s /etc/shadow ~/.ssh/authorized_keys.new")  # fmt: skip
    before = plain.run("sha256sum", "/etc/shadow")
    plain.prepare("deploy", REPOSITORY, KEY, code=2)
    assert plain.run("sha256sum", "/etc/shadow") == before
    plain.run("rm", "-rf", "/home/deploy/.ssh")
    plain.prepare("deploy", REPOSITORY, KEY)


def test_what_is_configured_is_never_evaluated(plain: Server) -> None:
    plain.install()
    plain.prepare("deploy", "file:///nowhere/';touch${IFS}/tmp/evaluated;'", KEY)
    plain.update("current", code=6)
    plain.run("test", "!", "-e", "/tmp/evaluated")  # noqa: S108
    plain.prepare("deploy", REPOSITORY, KEY)


def test_half_a_script_does_nothing(plain: Server) -> None:
    whole = (ROOT / "deploy/update.sh").read_text()
    for cut in range(len(whole) // 10, len(whole) - 12, len(whole) // 10):
        done = subprocess.run(
            ["docker", "exec", "--interactive", plain.name, "bash", "-s", "--", "current"],
            input=whole[:cut], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("compose", "offered", "installed", "refusal"),
    [
        ("2.30.0", "", "", ""),
        ("v5.0.1", "", "", ""),
        ("2.20.0", "", "", "has compose 2.20.0, and 2.26 or later is needed"),
        ("", "docker-compose 2.26.1-4", "docker-compose", ""),
        ("", "docker-compose-v2 2.24\ndocker-compose 1.29", "docker-compose-v2", ""),
        ("", "docker-compose-plugin 5.0.1\ndocker-compose-v2 2.24", "docker-compose-plugin", ""),
        ("", "docker-compose 1.29.2-3", "", "distribution has no compose v2"),
        ("", "", "", "distribution has no compose v2"),
    ],
)
def test_compose_comes_from_the_distribution_if_it_is_missing(
    plain: Server, compose: str, offered: str, installed: str, refusal: str
) -> None:
    for path, content in (("bin/docker", OTHER_DOCKER), ("bin/apt-cache", OTHER_APT), ("bin/apt-get", OTHER_APT)):
        plain.run("install", "-m", "0755", "/dev/stdin", f"/usr/local/{path}", stdin=content)
    plain.sh('printf %s "$1" >/tmp/compose; printf "%s\\n" "$2" >/tmp/offered; : >/tmp/installed', compose, offered)
    try:
        assert refusal in plain.prepare("deploy", REPOSITORY, KEY, code=1 if refusal else 0)
        installs = [line for line in plain.run("cat", "/tmp/installed").splitlines() if " install " in line]  # noqa: S108
        assert [line.split()[-1] for line in installs] == ([installed] if installed else [])
    finally:
        plain.sh("rm /usr/local/bin/docker /usr/local/bin/apt-*")
