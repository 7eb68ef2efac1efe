"""What Kestra's key may say: the words of a deployment, and nothing that only looks like them."""

import pytest

from tests.deploy.server import Server


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sh",
        "; rm -rf /",
        "current; id",
        "current $(touch /tmp/forged)",
        "current `touch /tmp/forged`",
        "current\nid",
        "current && id",
        "commit HEAD",
        "commit --help",
        "commit " + "a" * 39,
        "commit " + "A" * 40,
        "commit " + "a" * 40 + " extra",
        "commit " + "a" * 4000,
        "image ../carica v1",
        "image carica --version",
        "image carica v1/x",
        "image cärica v1",
        "image carica v\u0661",
        "image carica " + "v" * 129,
        "image -oProxyCommand=x v1",
        "--upload-pack=x",
        "current by=",
        "current by=-x",
        "current by=a;b",
        "current source=HEAD",
        "rollback 2",
        "rollback run=a-b",
        "rollback run=" + "a" * 41,
        "*",
        "scp -t /tmp",
        "internal-sftp",
    ],
)
def test_anything_else_is_refused_before_it_is_used(server: Server, command: str) -> None:
    before = server.history()
    done = server.over_ssh(command)
    assert done.code == 2, done.text
    assert "carica-update: started" not in done.text
    assert server.history() == before
    server.run("test", "!", "-e", "/tmp/forged")  # noqa: S108


def test_help_names_every_command_and_exit_code(server: Server) -> None:
    said = server.update("--help")
    for word in ("commit", "image", "current", "rollback", "status", "history", "report", *map(str, range(10))):
        assert word in said
