"""`pulumi-resource-command`, the lab's."""

from lab.plugins.command import remote
from lab.plugins.framework import Plugin, engine_address

Plugin("command", "1.2.1", {"command:remote:Command": remote.KIND}, lambda _: None).serve(engine_address())
