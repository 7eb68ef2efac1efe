"""The command stand-in as Pulumi's engine talks to it: on this machine, and over SSH to the lab's deploy host.

What is expected of it was seen on pulumi-command 1.2.1, or read in its source.
"""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from lab import deploy_host, keys
from lab.engine import engine
from lab.image_builder import images
from lab.paths import ROOT
from tests.estate import free_port

Properties = dict[str, Any]
LOCAL, REMOTE, COPY = "command:local:Command", "command:remote:Command", "command:remote:CopyToRemote"


def struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(dict(value), struct_pb2.Struct())


def plain(value: struct_pb2.Struct) -> Properties:
    return dict(json_format.MessageToDict(value))


class Screen(engine_pb2_grpc.EngineServicer):
    """The engine's end of what a plugin shows."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float]] = []
        self.warnings: list[str] = []

    def Log(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.severity == engine_pb2.WARNING:
            self.warnings.append(request.message)
        else:
            self.shown.append((request.message, time.monotonic()))
        return empty_pb2.Empty()

    def lines(self) -> list[str]:
        return [line for line, _ in self.shown]


class Plugin:
    """The plugin's process and the engine's side of the conversation."""

    def __init__(self) -> None:
        self.screen = Screen()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        engine_pb2_grpc.add_EngineServicer_to_server(self.screen, self._server)
        address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab.plugins.command", address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self.process.stdout
        port = self.process.stdout.readline().strip()
        self.stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
        self.stub.Configure(provider_pb2.ConfigureRequest())

    def close(self) -> str:
        """End it as the engine does; return what it wrote to standard error."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=10)
        self._server.stop(None)
        return errors

    def check(self, kind: str, inputs: Properties) -> dict[str, str]:
        answer = self.stub.Check(provider_pb2.CheckRequest(urn=urn(kind), news=struct(inputs)))
        return {each.property: each.reason for each in answer.failures}

    def create(self, kind: str, *, preview: bool = False, **inputs: Any) -> Properties:
        assert self.check(kind, inputs) == {}
        request = provider_pb2.CreateRequest(urn=urn(kind), properties=struct(inputs), preview=preview)
        return plain(self.stub.Create(request).properties)

    def update(self, kind: str, olds: Properties, news: Properties, *, preview: bool = False) -> Properties:
        request = provider_pb2.UpdateRequest(
            urn=urn(kind), id="it", olds=struct(olds), news=struct(news), preview=preview
        )
        return plain(self.stub.Update(request).properties)

    def delete(self, kind: str, state: Properties) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(urn=urn(kind), id="it", properties=struct(state)))

    def replaces(self, kind: str, olds: Properties, news: Properties) -> tuple[list[str], list[str]]:
        """Return what changed, and what of that replaces; never with the deletion first."""
        answer = self.stub.Diff(
            provider_pb2.DiffRequest(
                urn=urn(kind), id="it", old_inputs=struct(olds), olds=struct(olds), news=struct(news)
            )
        )
        assert not answer.deleteBeforeReplace
        return list(answer.diffs), list(answer.replaces)


def urn(kind: str) -> str:
    return f"urn:pulumi:test::test::carica:test:Part${kind}::it"


def failure(error: "pytest.ExceptionInfo[grpc.RpcError]") -> str:
    return str(error.value.details())


@pytest.fixture(scope="module")
def running() -> Iterator[Plugin]:
    plugin = Plugin()
    yield plugin
    assert plugin.close() == ""


@pytest.fixture
def plugin(running: Plugin) -> Plugin:
    running.screen.shown.clear()
    running.screen.warnings.clear()
    return running


@pytest.fixture
def cancelled() -> Iterator[Plugin]:
    """A plugin that is cancelled after a moment."""
    plugin = Plugin()
    threading.Timer(0.7, lambda: plugin.stub.Cancel(empty_pb2.Empty())).start()
    yield plugin
    assert plugin.close() == ""


@pytest.fixture(scope="module")
def server() -> Iterator[Properties]:
    """A connection to a plain Debian server with sshd, in a container."""
    engine()
    images({})
    name, port = f"carica-test-{secrets.token_hex(3)}", free_port()
    deploy_host.start(name, name, port)
    deploy_host.wait(port)
    yield {
        "host": "127.0.0.1",
        "port": port,
        "privateKey": keys.ssh_key("admin_ed25519").private,
        "hostKey": keys.ssh_key("deploy_host_ed25519").public,
        "dialErrorLimit": 1,
        "perDialTimeout": 5,
    }
    deploy_host.remove(name, name)


# --- commands anywhere ---


def test_output_is_kept_and_shown_while_the_command_runs(plugin: Plugin) -> None:
    made = plugin.create(LOCAL, create="echo one; echo two >&2; sleep 0.5; printf 'three\\n\\n'")
    assert (made["stdout"], made["stderr"]) == ("one\nthree\n", "two")
    assert sorted(plugin.screen.lines()) == ["", "one", "three", "two"]
    times = dict(plugin.screen.shown)
    assert times["three"] - times["one"] > 0.4


@pytest.mark.parametrize(
    ("logging", "shown"), [("stdout", ["out"]), ("stderr", ["err"]), ("stdoutAndStderr", ["err", "out"]), ("none", [])]
)
def test_logging_chooses_what_is_shown(plugin: Plugin, logging: str, shown: list[str]) -> None:
    made = plugin.create(LOCAL, create="echo out; echo err >&2", logging=logging)
    assert sorted(plugin.screen.lines()) == shown
    assert (made["stdout"], made["stderr"]) == ("out", "err")


def test_inputs_reach_the_command(plugin: Plugin, tmp_path: Path) -> None:
    script = "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ['A'], os.environ['HOME'])"
    made = plugin.create(
        LOCAL,
        create=script,
        interpreter=[sys.executable, "-c"],
        dir=str(tmp_path),
        stdin="given",
        environment={"A": "b"},
    )
    assert made["stdout"] == f"given {tmp_path} b {os.environ['HOME']}"


def test_a_command_need_not_read_its_input(plugin: Plugin) -> None:
    assert plugin.create(LOCAL, create="exec <&-; echo done", stdin="x" * 1_000_000)["stdout"] == "done"


def test_output_that_is_no_text(plugin: Plugin) -> None:
    assert plugin.create(LOCAL, create=r"printf '\377'; head -c 300000 /dev/zero | tr '\0' a")["stdout"] == (
        "\ufffd" + "a" * 300_000
    )


def test_failure_names_the_command_and_its_output(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(LOCAL, create='echo "out"; sleep 0.2; echo err >&2; exit 3', stdin="top-secret")
    assert failure(error) == ('exit status 3: running "echo \\"out\\"; sleep 0.2; echo err >&2; exit 3":\nout\nerr\n')
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(LOCAL, create="kill -KILL $$")
    assert failure(error) == 'signal: Killed: running "kill -KILL $$":\n'
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(LOCAL, create="x", interpreter=["/no/such"])
    assert failure(error) == "fork/exec /no/such: No such file or directory"


def test_update_reruns_create_when_there_is_no_update(plugin: Plugin) -> None:
    count = 'echo "$PULUMI_COMMAND_STDOUT."'
    made = plugin.create(LOCAL, create=count)
    assert made["stdout"] == "."
    made = plugin.update(LOCAL, made, {"create": count})
    assert made["stdout"] == ".."
    assert plugin.update(LOCAL, made, {"create": count, "addPreviousOutputInEnv": False})["stdout"] == "."
    assert plugin.update(LOCAL, made, {"create": count, "update": "echo other"})["stdout"] == "other"
    assert plugin.update(LOCAL, made, {"delete": "true"})["stdout"] == ".."


def test_delete_knows_the_output_of_before(plugin: Plugin, tmp_path: Path) -> None:
    made = plugin.create(
        LOCAL,
        create="echo first; echo oops >&2",
        delete=f'echo "$PULUMI_COMMAND_STDOUT $PULUMI_COMMAND_STDERR" >{tmp_path}/gone',
    )
    plugin.delete(LOCAL, made)
    assert (tmp_path / "gone").read_text() == "first oops\n"
    plugin.delete(LOCAL, {"create": "true", "stdout": "", "stderr": ""})


def test_only_triggers_replace(plugin: Plugin) -> None:
    olds: Properties = {"create": "a", "stdin": "s", "environment": {"A": "b"}, "triggers": [1, "x"]}
    assert plugin.replaces(LOCAL, olds, olds) == ([], [])
    assert plugin.replaces(LOCAL, olds, olds | {"create": "b", "stdin": "t", "environment": {}}) == (
        ["create", "environment", "stdin"],
        [],
    )
    assert plugin.replaces(LOCAL, olds, olds | {"triggers": [2, "x"]}) == (["triggers"], ["triggers"])
    assert plugin.replaces(LOCAL, olds, olds | {"triggers": UNKNOWN}) == (["triggers"], ["triggers"])


def test_preview_runs_nothing_and_knows_no_output(plugin: Plugin, tmp_path: Path) -> None:
    made = plugin.create(LOCAL, create=f"touch {tmp_path}/ran", preview=True)
    assert (made["stdout"], made["stderr"]) == (UNKNOWN, UNKNOWN)
    made = plugin.update(LOCAL, {"create": "x", "stdout": "old"}, {"create": f"touch {tmp_path}/ran"}, preview=True)
    assert made["stdout"] == UNKNOWN
    assert not list(tmp_path.iterdir())


def test_what_is_not_implemented_is_refused(plugin: Plugin) -> None:
    assert "install the official plugin" in plugin.check(LOCAL, {"create": "x", "assetPaths": ["*"]})["assetPaths"]
    assert "none, stderr" in plugin.check(LOCAL, {"create": "x", "logging": "loud"})["logging"]
    key = {"privateKey": "k"}
    for kind in (REMOTE, COPY):
        assert "does not implement proxy" in plugin.check(kind, {"connection": {**key, "proxy": {}}})["connection"]
        assert "agentSocketPath" in plugin.check(kind, {"connection": {**key, "agentSocketPath": "/x"}})["connection"]
        assert "wants privateKey" in plugin.check(kind, {"connection": {"host": "h"}})["connection"]
        assert plugin.check(kind, {"connection": UNKNOWN}) == {}
    archive = {"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7", "path": "x"}
    assert "FileAsset" in plugin.check(COPY, {"connection": UNKNOWN, "source": archive})["source"]
    with pytest.raises(grpc.RpcError) as error:
        plugin.check("command:remote:CopyFile", {})
    assert "has no command:remote:CopyFile; install the official plugin" in failure(error)


def test_cancel_ends_a_command_with_its_children(cancelled: Plugin) -> None:
    mark = f"1{secrets.randbelow(10**6):06}"
    with pytest.raises(grpc.RpcError) as error:
        cancelled.create(LOCAL, create=f"sleep {mark} & echo started; sleep {mark}")
    assert failure(error) == "stopped before it was done, as the update was cancelled"
    assert mark not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


# --- over SSH ---


def test_remote_command(plugin: Plugin, server: Properties) -> None:
    count = 'echo "$(cat) $(hostname) $LC_A"; echo err >&2'
    made = plugin.create(REMOTE, connection=server, create=count, stdin="given", environment={"LC_A": "b"})
    assert (made["stdout"], made["stderr"]) == ("given deploy-host b", "err")
    assert sorted(plugin.screen.lines()) == ["err", "given deploy-host b"]
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(REMOTE, connection=server, create="echo no; exit 4", stdin="top-secret")
    assert failure(error) == 'Process exited with status 4: running "echo no; exit 4":\nno\n'


def test_remote_update_warns_that_the_server_takes_no_earlier_output(plugin: Plugin, server: Properties) -> None:
    line = 'echo "<$PULUMI_COMMAND_STDOUT> $LC_A"'
    olds = {"connection": server, "create": line, "stdout": "old", "stderr": "older"}
    news = {"connection": server, "create": line, "environment": {"LC_A": "b"}}
    assert plugin.update(REMOTE, olds, news)["stdout"] == "<> b"
    assert [line.split(".")[0] for line in plugin.screen.warnings] == [
        "Unable to set 'PULUMI_COMMAND_STDOUT'",
        "Unable to set 'PULUMI_COMMAND_STDERR'",
    ]
    plugin.screen.warnings.clear()
    assert plugin.update(REMOTE, olds, news | {"addPreviousOutputInEnv": False})["stdout"] == "<> b"
    assert plugin.screen.warnings == []


def test_a_variable_the_server_refuses_is_an_error(plugin: Plugin, server: Properties) -> None:
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(REMOTE, connection=server, create="true", environment={"TOKEN": "top-secret"})
    assert failure(error) == 'could not set environment variable "TOKEN": ssh: setenv failed'


def test_large_streams_in_both_directions(plugin: Plugin, server: Properties) -> None:
    sent = "".join(f"{number:07}\n" for number in range(125_000))  # 1 MB
    made = plugin.create(REMOTE, connection=server, create="tee /dev/stderr", stdin=sent, logging="none")
    assert made["stdout"] + "\n" == sent
    assert made["stderr"] + "\n" == sent


def test_a_server_with_another_key_gets_nothing(plugin: Plugin, server: Properties) -> None:
    for other in (ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(grpc.RpcError) as error:
            plugin.create(REMOTE, connection=server | {"hostKey": public(other)}, create="true")
        assert failure(error).startswith("after 1 failed attempts: ssh: handshake failed: ")
        if isinstance(other, ed25519.Ed25519PrivateKey):
            assert failure(error).endswith("ssh: host key mismatch")
    assert plugin.screen.lines() == ["Dial 1/1 failed: retrying"] * 2
    unpinned = {name: value for name, value in server.items() if name != "hostKey"}
    assert plugin.create(REMOTE, connection=unpinned, create="echo in")["stdout"] == "in"


def test_keys_of_each_kind_log_in(plugin: Plugin, server: Properties) -> None:
    for pair in (ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)):
        plugin.create(REMOTE, connection=server, create="cat >>/root/.ssh/authorized_keys", stdin=public(pair) + "\n")
        for form in (serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.TraditionalOpenSSL):
            private = pair.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
            assert plugin.create(REMOTE, connection=server | {"privateKey": private}, create="id -u")["stdout"] == "0"


def test_a_wrong_login_is_told_without_the_key(plugin: Plugin, server: Properties) -> None:
    stranger = (
        ed25519.Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(REMOTE, connection=server | {"privateKey": stranger, "dialErrorLimit": 0}, create="true")
    assert failure(error).startswith("after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate")
    for broken in ("top-secret", stranger[:200]):
        with pytest.raises(grpc.RpcError) as error:
            plugin.create(REMOTE, connection=server | {"privateKey": broken}, create="true")
        assert failure(error).startswith("ssh: the private key is in no format")
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(REMOTE, connection=server | {"hostKey": "nonsense"}, create="true")
    assert failure(error) == "failed to parse host key: ssh: no key found"


def test_an_unreachable_server_is_tried_again(plugin: Plugin, server: Properties) -> None:
    nowhere = server | {"port": free_port(), "dialErrorLimit": 2}
    with pytest.raises(grpc.RpcError) as error:
        plugin.create(REMOTE, connection=nowhere, create="true")
    assert failure(error) == (
        f"after 2 failed attempts: dial tcp 127.0.0.1:{nowhere['port']}: connect: connection refused"
    )
    assert plugin.screen.lines() == ["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]


def test_cancel_ends_dialling(cancelled: Plugin, server: Properties) -> None:
    with pytest.raises(grpc.RpcError) as error:
        cancelled.create(REMOTE, connection=server | {"port": free_port(), "dialErrorLimit": -1}, create="true")
    assert failure(error) == "stopped while dialling, as the update was cancelled"


def test_cancel_ends_a_remote_command(cancelled: Plugin, server: Properties) -> None:
    with pytest.raises(grpc.RpcError) as error:
        cancelled.create(REMOTE, connection=server, create="echo started; sleep 1000")
    assert failure(error) == "stopped before it was done, as the update was cancelled"
    assert cancelled.screen.lines() == ["started"]


# --- copies ---


def test_copy(plugin: Plugin, server: Properties, tmp_path: Path) -> None:
    def remote(line: str) -> str:
        return str(plugin.create(REMOTE, connection=server, create=line)["stdout"])

    def source(content: str, **how: str) -> Properties:
        return {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "hash": content, **how}

    text = source("1", text="grüße\n")
    made = plugin.create(COPY, connection=server, remotePath="/srv/new/deep/text", source=text)
    assert remote("cat /srv/new/deep/text; stat -c %a /srv/new/deep/text") == "grüße\n644"
    (tmp_path / "file").write_bytes(b"\x00\xff")
    file = source("2", path=str(tmp_path / "file"))
    plugin.create(COPY, connection=server, remotePath="/srv/new/deep", source=file)
    assert remote("od -An -tx1 /srv/new/deep/file").split() == ["00", "ff"]

    remote("rm /srv/new/deep/text")
    plugin.update(COPY, made, made | {"source": text})
    assert remote("ls /srv/new/deep") == "file"
    plugin.update(COPY, made, made | {"source": file})
    assert remote("ls /srv/new/deep") == "file\ntext"
    plugin.delete(COPY, made)
    assert remote("ls /srv/new/deep") == "file\ntext"

    moved = made | {"source": text | {"text": "elsewhere"}}
    assert plugin.replaces(COPY, made, moved) == ([], [])
    assert plugin.replaces(COPY, made, made | {"source": file, "triggers": [1]}) == (
        ["source", "triggers"],
        ["triggers"],
    )
    for problem, path, given in (
        ("is a directory", "/srv/new", text),
        ("failed to copy", "/proc/nothing", text),
        ("open /no/such", "/srv/x", source("3", path="/no/such")),
    ):
        with pytest.raises(grpc.RpcError) as error:
            plugin.create(COPY, connection=server, remotePath=path, source=given)
        assert problem in failure(error)


def public(pair: Any) -> str:
    """Return the public half as authorized_keys has it."""
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return str(pair.public_key().public_bytes(*form).decode())
