"""An SSH connection as pulumi-command makes it: its checks, number of tries and messages."""

import base64
import contextlib
import io
import itertools
import logging
import os
import socket
from collections.abc import Iterator, Mapping

import paramiko
from paramiko.pkey import UnknownKeyType

from lab.plugins.framework import Failed, Properties, Screen, cancelled

PROPERTIES = frozenset({"host", "port", "user", "privateKey", "hostKey", "dialErrorLimit", "perDialTimeout"})
PRIVATE_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
FIRST_PAUSE, PAUSE_GROWTH, LONGEST_PAUSE = 0.1, 1.5, 5.0

# What goes wrong is in the resource's error; the library would print it to the terminal besides.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def check(inputs: Properties) -> Mapping[str, str]:
    """Refuse connection properties that the stand-in does not implement."""
    connection = inputs.get("connection")
    if not isinstance(connection, dict):
        return {}
    if unknown := sorted(connection.keys() - PROPERTIES):
        return {"connection": f"the lab's stand-in of command does not implement {', '.join(unknown)}"}
    if "privateKey" not in connection:
        # The real plugin would go on to the SSH agent.
        return {"connection": "the lab's stand-in of command wants privateKey"}
    return {}


@contextlib.contextmanager
def connected(connection: Properties, screen: Screen) -> Iterator[paramiko.Transport]:
    """Yield an open connection, after as many tries as the connection allows."""
    private, pinned = _private(connection["privateKey"]), _pinned(connection.get("hostKey"))
    limit, pause = connection.get("dialErrorLimit", 10), FIRST_PAUSE
    for failures in itertools.count():
        try:
            transport = _dial(connection, private, pinned)
            break
        except _DialError as error:
            # -1 is for ever. One more try than the limit, as the real plugin counts.
            if 0 <= limit <= failures:
                raise Failed(f"after {failures} failed attempts: {error}") from None
            screen(f"Dial {failures + 1}/{'inf' if limit < 0 else limit} failed: retrying")
        if cancelled.wait(pause):
            raise Failed("stopped while dialling, as the update was cancelled")
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE)
    try:
        yield transport
    finally:
        transport.close()


class _DialError(Exception):
    """One try failed."""


def _dial(connection: Properties, private: paramiko.PKey, pinned: paramiko.PKey | None) -> paramiko.Transport:
    host, port = connection["host"], int(connection.get("port", 22))
    timeout = connection.get("perDialTimeout", 15) or None  # 0: no limit
    try:
        sock = socket.create_connection((host, port), timeout)
    except socket.gaierror:
        raise _DialError(f"dial tcp: lookup {host}: no such host") from None
    except TimeoutError:
        raise _DialError(f"dial tcp {host}:{port}: i/o timeout") from None
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise _DialError(f"dial tcp {host}:{port}: connect: {reason}") from None
    transport = paramiko.Transport(sock)
    try:
        if pinned:
            name = pinned.get_name()
            transport.get_security_options().key_types = RSA_ALGORITHMS if name == "ssh-rsa" else (name,)
        transport.start_client(timeout=timeout)
        # Without a pinned key any server is trusted, as with the real plugin (pulumi-command#755).
        if pinned and transport.get_remote_server_key() != pinned:
            raise _DialError("ssh: handshake failed: ssh: host key mismatch")
        transport.auth_publickey(connection.get("user", "root"), private)
    except _DialError:
        transport.close()
        raise
    except paramiko.AuthenticationException:
        transport.close()
        tried = "attempted methods [none publickey], no supported methods remain"
        raise _DialError(f"ssh: handshake failed: ssh: unable to authenticate, {tried}") from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        transport.close()
        raise _DialError(f"ssh: handshake failed: {error or 'EOF'}") from None
    return transport


def _private(text: str) -> paramiko.PKey:
    for kind in PRIVATE_KEYS:
        # Its messages may quote the key; IndexError is what the library makes of a text without a PEM header.
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text))
    raise Failed(
        "ssh: the private key is in no format that the lab's stand-in reads (Ed25519, ECDSA, RSA; no password)"
    )


def _pinned(text: str | None) -> paramiko.PKey | None:
    """Return the server's key, written as in authorized_keys: type, key and perhaps a comment."""
    if text is None:
        return None
    try:
        kind, key = text.split()[:2]
        return paramiko.PKey.from_type_string(kind, base64.b64decode(key, validate=True))
    except (ValueError, paramiko.SSHException, UnknownKeyType):
        raise Failed("failed to parse host key: ssh: no key found") from None
