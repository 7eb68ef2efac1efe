"""command.remote.Command: a command over real SSH."""

from collections.abc import Mapping
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from lab.plugins.command import lifecycle
from lab.plugins.command.connection import check, connected
from lab.plugins.command.talk import Talk, talk
from lab.plugins.framework import Failed, Properties, Screen


def run(command: str, inputs: Properties, previous: Mapping[str, str], screen: Screen) -> tuple[Talk, str]:
    """Run `command` on the server; a cancelled update leaves it there, without its connection."""
    with connected(inputs["connection"], screen) as transport:
        try:
            channel = _session(transport, inputs.get("environment", {}), previous, screen)
            channel.exec_command(command)
            said = talk(
                (channel.makefile_stdin("wb"), channel.makefile("rb"), channel.makefile_stderr("rb")),
                inputs.get("stdin", ""),
                inputs.get("logging", "stdoutAndStderr"),
                screen,
                transport.close,
            )
            code = channel.recv_exit_status()
        except paramiko.SSHException as error:
            raise Failed(f"ssh: {error}") from None
    if code < 0:
        return said, "wait: remote command exited without exit status or exit signal"
    return said, f"Process exited with status {code}" if code else ""


def _session(
    transport: paramiko.Transport, environment: Mapping[str, str], previous: Mapping[str, str], screen: Screen
) -> paramiko.Channel:
    """Open a session with its variables; servers refuse most, and only the earlier output may be missing."""
    wanted = {**environment, **previous}
    while True:
        channel = transport.open_session()
        refused = next((name for name, value in wanted.items() if not _set_variable(channel, name, value)), None)
        if refused is None:
            return channel
        screen.warn(
            f"Unable to set '{refused}'. This only works if your SSH server is configured to accept these variables "
            "via AcceptEnv. Alternatively, prefix the command itself with the variables: VAR=value command"
        )
        if refused in environment:
            raise Failed(f'could not set environment variable "{refused}": ssh: setenv failed')
        # The refusal closed the session.
        del wanted[refused]


def _set_variable(channel: Any, name: str, value: str) -> bool:
    """Set a variable; return whether the server took it.

    Channel.set_environment_variable asks for no answer, so that a variable which the server ignores would go unseen;
    this is how the library's other requests wait for theirs.
    """
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("env")
    message.add_boolean(True)
    message.add_string(name)
    message.add_string(value)
    channel._event_pending()
    channel.transport._send_user_message(message)
    try:
        channel._wait_for_event()
    except paramiko.SSHException:
        return False
    return True


KIND = lifecycle.command(run, frozenset({"connection"}), check)
