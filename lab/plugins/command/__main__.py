"""`pulumi-resource-command`, the lab's."""

from lab.plugins.command import copying, local, remote
from lab.plugins.framework import Plugin, engine_address

KINDS = {
    "command:local:Command": local.KIND,
    "command:remote:Command": remote.KIND,
    "command:remote:CopyToRemote": copying.KIND,
}

Plugin("command", "1.2.1", KINDS, lambda _: None).serve(engine_address())
