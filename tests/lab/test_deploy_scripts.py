"""deploy/prepare.sh and deploy/update.sh on a Debian server: what they refuse, and that configuration stays data."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from lab.deploy_host import IMAGE
from lab.paths import ROOT

KEY = "ssh-ed25519 AAAA kestra"
GRANTED = 'restrict,command="/usr/local/bin/carica-update" '
SEED = """
mkdir -p /srv/git && git init --quiet --bare --initial-branch main /srv/git/deploy.git
git clone --quiet /srv/git/deploy.git /tmp/work 2>/dev/null && cd /tmp/work
git -c user.name=lab -c user.email=lab@example.com commit --quiet --allow-empty --message first
git push --quiet origin main
"""


class Server:
    """A container in which commands run as root."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, stdin: str = "", code: int = 0) -> str:
        """Run a command, which must end with `code`; return all it prints."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.name, *command],
            input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def prepare(self, user: str, repository: str, key: str = KEY, code: int = 0) -> str:
        script = (ROOT / "deploy/prepare.sh").read_text()
        return self.run("sh", "-s", "--", user, repository, "main", key, stdin=script, code=code)

    def update(self, *words: str, code: int = 0) -> str:
        return self.run("runuser", "-u", "deploy", "--", "carica-update", *words, code=code)


@pytest.fixture(scope="module")
def server(references: dict[str, str]) -> Iterator[Server]:
    words = ["docker", "run", "--detach", "--init", "--rm", "--network", "none", IMAGE, "sleep", "infinity"]
    name = subprocess.run(words, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()
    try:
        server = Server(name)
        server.run("bash", "-euc", SEED)
        server.run("install", "-m", "0755", "/dev/stdin", "/usr/local/bin/carica-update",
                   stdin=(ROOT / "deploy/update.sh").read_text())  # fmt: skip
        server.prepare("deploy", "file:///srv/git/deploy.git")
        yield server
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, stdout=subprocess.DEVNULL)


def test_the_account_lets_kestras_key_in_for_the_script_alone(server: Server) -> None:
    assert server.run("cat", "/home/deploy/.ssh/authorized_keys") == f"{GRANTED}{KEY}\n"
    assert server.run("stat", "-c", "%U %a", "/home/deploy/.ssh/authorized_keys") == "deploy 600\n"


def test_preparing_again_takes_a_new_key_and_drops_the_old_one(server: Server) -> None:
    server.prepare("deploy", "file:///srv/git/deploy.git", "ssh-ed25519 BBBB new")
    assert server.run("cat", "/home/deploy/.ssh/authorized_keys") == f"{GRANTED}ssh-ed25519 BBBB new\n"


def test_an_account_that_somebody_uses_is_left_alone(server: Server) -> None:
    server.run("useradd", "--create-home", "person")
    server.run("sh", "-euc", "mkdir ~person/.ssh; echo 'ssh-ed25519 CCCC person' >~person/.ssh/authorized_keys")
    assert "somebody uses it" in server.prepare("person", "file:///srv/git/deploy.git", code=1)
    assert server.run("sh", "-c", "cat ~person/.ssh/authorized_keys") == "ssh-ed25519 CCCC person\n"
    assert "not as root" in server.prepare("root", "file:///srv/git/deploy.git", code=1)


def test_a_link_laid_by_the_account_leads_root_nowhere(server: Server) -> None:
    server.run("runuser", "-u", "deploy", "--", "sh", "-euc",
               "rm -rf ~/.ssh; mkdir ~/.ssh; ln -s /etc/shadow ~/.ssh/authorized_keys.new")  # fmt: skip
    before = server.run("sha256sum", "/etc/shadow")
    server.prepare("deploy", "file:///srv/git/deploy.git", code=2)
    assert server.run("sha256sum", "/etc/shadow") == before
    server.run("rm", "-rf", "/home/deploy/.ssh")
    server.prepare("deploy", "file:///srv/git/deploy.git")


def test_what_is_configured_is_never_evaluated(server: Server) -> None:
    server.prepare("deploy", "file:///nowhere/';touch${IFS}/tmp/evaluated;'")
    server.update("current", code=128)
    server.run("test", "!", "-e", "/tmp/evaluated")  # noqa: S108
    server.prepare("deploy", "file:///srv/git/deploy.git")


def test_images_are_recorded_each_by_its_own_name(server: Server) -> None:
    server.update("image", "carica-ml", "v1")
    server.update("image", "carica.ml", "v2")
    server.update("image", "carica.ml", "v3")
    assert json.loads(server.update("status"))["images"] == {"carica-ml": "v1", "carica.ml": "v3"}


def test_a_commit_that_is_not_on_the_branch_is_refused(server: Server) -> None:
    server.update("current")
    assert "is not on branch main" in server.update("commit", "f" * 40, code=4)


def test_half_a_script_does_nothing(server: Server) -> None:
    whole = (ROOT / "deploy/update.sh").read_text()
    for cut in range(len(whole) // 10, len(whole) - 12, len(whole) // 10):
        done = subprocess.run(
            ["docker", "exec", "--interactive", server.name, "bash", "-s", "--", "current"],
            input=whole[:cut], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.stdout == ""
