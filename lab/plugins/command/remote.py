"""command.remote.Command, over real SSH."""

import base64
import io
import shlex
import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko

from lab.plugins.framework import Failed, Kind, Properties

CONNECTION = frozenset({"host", "port", "user", "privateKey", "hostKey", "dialErrorLimit", "perDialTimeout"})
KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


def check(inputs: Properties) -> dict[str, str]:
    """Refuse connection properties that the stand-in does not implement."""
    connection = inputs.get("connection", {})
    unknown = sorted(set(connection) - CONNECTION) if isinstance(connection, dict) else []
    if unknown:
        return {"connection": f"the lab's stand-in of command does not implement {', '.join(unknown)}"}
    return {}


def create(inputs: Properties, show: Callable[[str], None]) -> tuple[str, Properties]:
    """Run `create`."""
    return f"command-{time.time_ns():x}", _run(inputs, inputs.get("create"), show, previous=None)


def update(id_: str, olds: Properties, news: Properties, show: Callable[[str], None]) -> Properties:
    """Run `update`, or `create` again when there is none."""
    return _run(news, news.get("update", news.get("create")), show, previous=olds)


def read(id_: str, outputs: Properties) -> Properties:
    """Return what was: like the real plugin, nothing is asked of the server."""
    return outputs


def delete(id_: str, outputs: Properties) -> None:
    """Run `delete` if there is one."""
    if "delete" in outputs:
        _run(outputs, outputs["delete"], lambda _: None, previous=outputs)


def _run(
    given: Properties, command: str | None, show: Callable[[str], None], previous: Properties | None
) -> Properties:
    if command is None:
        return {**given, "stdout": "", "stderr": ""}
    client = _connect(given["connection"])
    try:
        channel = _transport(client).open_session()
        environment = dict(given.get("environment", {}))
        if previous and given.get("addPreviousOutputInEnv", True):
            environment |= {f"PULUMI_COMMAND_{name.upper()}": previous[name] for name in ("stdout", "stderr")}
        for name, value in environment.items():
            channel.set_environment_variable(name, value)
        channel.exec_command(command)
        output = _converse(channel, given.get("stdin", ""), show)
        code = channel.recv_exit_status()
    except paramiko.SSHException as error:
        raise Failed(f"{error}: running {shlex.quote(command)}") from None
    finally:
        client.close()
    if code:
        raise Failed(f'Process exited with status {code}: running "{command}":\n{output["stdout"]}{output["stderr"]}')
    return {**given, **output}


def _transport(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    if transport is None:
        raise paramiko.SSHException("the connection is closed")
    return transport


def _connect(connection: Properties) -> paramiko.SSHClient:
    """Connect, with the real plugin's number of tries; a server with another key than the pinned one is refused."""
    host, port = connection["host"], connection.get("port", 22)
    client = paramiko.SSHClient()
    if pinned := connection.get("hostKey"):
        kind, key = pinned.split()[:2]
        name = host if port == 22 else f"[{host}]:{port}"
        client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
    else:
        # The real plugin trusts any server then (pulumi-command#755).
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # noqa: S507
    limit, last = connection.get("dialErrorLimit", 10), ""
    for attempt in range(1, limit + 1):
        try:
            client.connect(
                host,
                port,
                connection.get("user", "root"),
                pkey=_key(connection.get("privateKey")),
                timeout=connection.get("perDialTimeout", 15),
                allow_agent=False,
                look_for_keys=False,
            )
            return client
        except paramiko.AuthenticationException:
            last = "ssh: handshake failed: ssh: unable to authenticate"
        except paramiko.BadHostKeyException:
            last = "ssh: handshake failed: ssh: host key mismatch"
        except (OSError, paramiko.SSHException) as error:
            last = f"dial tcp {host}:{port}: {error}"
        time.sleep(min(0.1 * 2**attempt, 5))
    raise Failed(f"after {limit} failed attempts: {last}")


def _key(text: str | None) -> paramiko.PKey | None:
    if text is None:
        return None
    for kind in KEYS:
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.SSHException:
            continue
    raise Failed("the private key is in no format that the lab's stand-in reads")


def _converse(channel: Any, stdin: str, show: Callable[[str], None]) -> Properties:
    """Write `stdin`, and return what comes back on both streams, shown line by line."""
    output = {"stdout": "", "stderr": ""}

    def write() -> None:
        channel.sendall(stdin.encode())
        channel.shutdown_write()

    def collect(name: str, stream: Any) -> None:
        lines = []
        for line in stream:
            lines.append(line)
            show(line.rstrip("\n"))
        output[name] = "".join(lines).removesuffix("\n")

    threads = [
        threading.Thread(target=write),
        threading.Thread(target=collect, args=("stdout", channel.makefile("r"))),
        threading.Thread(target=collect, args=("stderr", channel.makefile_stderr("r"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return output


KIND = Kind(
    properties=frozenset(
        {"connection", "create", "update", "delete", "stdin", "environment", "triggers", "addPreviousOutputInEnv"}
    ),
    replacing=frozenset({"triggers"}),
    delete_first=False,
    create=create,
    read=read,
    update=update,
    delete=delete,
    check=check,
)
