"""command.remote.CopyToRemote: a file or a text, copied to a server over SFTP."""

import posixpath
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import paramiko

from lab.plugins.command import connection, lifecycle
from lab.plugins.framework import SIGNATURE, Failed, Kind, Properties, Screen

ASSET = "c44067f5952c0a294b673a41bacd8c17"
"""The protocol's signature of an asset; an archive has another."""


def check(inputs: Properties) -> Mapping[str, str]:
    """Refuse sources that are no file and no text."""
    faults = dict(connection.check(inputs))
    source = inputs.get("source")
    if isinstance(source, dict) and (source.get(SIGNATURE) != ASSET or not source.keys() & {"path", "text"}):
        faults["source"] = "the lab's stand-in of command copies a FileAsset or a StringAsset, nothing else"
    return faults


def create(inputs: Properties, screen: Screen) -> tuple[str, Properties]:
    """Copy."""
    _copy(inputs, screen)
    return secrets.token_hex(8), inputs


def update(id_: str, olds: Properties, news: Properties, screen: Screen) -> Properties:
    """Copy again if the content or the place is another."""
    if (olds["source"]["hash"], olds["remotePath"]) != (news["source"]["hash"], news["remotePath"]):
        _copy(news, screen)
    return news


def delete(id_: str, outputs: Properties) -> None:
    """Leave the file there, as the real plugin does."""


def _copy(inputs: Properties, screen: Screen) -> None:
    source = inputs["source"]
    try:
        content = source["text"].encode() if "text" in source else Path(source["path"]).read_bytes()
    except OSError as error:
        raise Failed(f"open {source['path']}: {error.strerror}") from None
    with connection.connected(inputs["connection"], screen) as transport:
        try:
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp  # noqa: S101 - a transport that is open gives one
            target = _place(sftp, inputs["remotePath"], source)
            with sftp.open(target, "wb") as file:
                file.write(content)
        except (OSError, paramiko.SSHException) as error:
            raise Failed(f"failed to copy to remote path {inputs['remotePath']}: {error}") from None


def _place(sftp: paramiko.SFTPClient, path: str, source: Properties) -> str:
    """Return the path of the file to write: in `path` if that is a directory; the directories above it are made."""
    mode = _mode(sftp, path)
    if mode and stat.S_ISDIR(mode):
        if "text" in source:
            raise Failed(f"remote path {path} is a directory; when using a text asset, remotePath must be a file path")
        return posixpath.join(path, Path(source["path"]).name)
    parents = [*PurePosixPath(path).parents][::-1]
    for parent in parents:
        if _mode(sftp, str(parent)) is None:
            sftp.mkdir(str(parent))
    return path


def _mode(sftp: paramiko.SFTPClient, path: str) -> int | None:
    try:
        return sftp.stat(path).st_mode
    except FileNotFoundError:
        return None


KIND = Kind(
    properties=frozenset({"connection", "remotePath", "source", "triggers"}),
    replacing=frozenset({"triggers"}),
    delete_first=False,
    create=create,
    read=lifecycle.as_it_was,
    update=update,
    delete=delete,
    check=check,
)
