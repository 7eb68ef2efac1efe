"""`pulumi-language-python`, the lab's: starts programs with the script that Pulumi's own SDK module ships.

The official host is a Go module that no registry serves. This one runs programs in a virtual environment, which is all
the desk asks of it; anything else is refused by name.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

BAIL = 32
"""Exit code of a program whose error has been shown already."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """The part of the protocol that running a program takes."""

    def __init__(self, engine: str, script: Path) -> None:
        """Run programs for the engine at `engine` with `script`, pulumi-language-python-exec."""
        self._engine = engine
        self._script = script

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say that the host is there."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say which version of the SDK this belongs to."""
        return plugin_pb2.PluginInfo(version="3.259.0")

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Ask for no plugin: the lab has put them where the engine looks."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Ask for no plugin."""
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run the program to its end; its output goes where this process's goes, to the engine."""
        options = json_format.MessageToDict(request.info.options)
        root = Path(request.info.root_directory)
        python = root / str(options.get("virtualenv", "")) / "bin/python"
        if "virtualenv" not in options:
            return language_pb2.RunResponse(
                error="the lab's Python host wants runtime.options.virtualenv in Pulumi.yaml"
            )
        if not python.exists():
            return language_pb2.RunResponse(
                error=f"there is no virtual environment {python.parent.parent}: run `make .venv`"
            )
        words = {
            "--monitor": request.monitor_address,
            "--engine": self._engine,
            "--project": request.project,
            "--root_directory": str(root),
            "--stack": request.stack,
            "--pwd": request.pwd,
            "--dry_run": str(request.dryRun).lower(),
            "--parallel": str(request.parallel),
            "--organization": request.organization,
        }
        command = [str(python), "-u", str(self._script), *(word for pair in words.items() for word in pair)]
        env = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        code = subprocess.run([*command, request.info.entry_point, *request.args], env=env, check=False).returncode
        if code == BAIL:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error="" if code == 0 else f"the program ended with exit code {code}")


def main() -> None:
    """Serve until the engine is done; the engine's address is the last argument."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    script = Path(os.environ["CARICA_LANGUAGE_EXEC"])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(sys.argv[-1], script), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine ends this process with an interrupt; the program gets its own from the terminal.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: server.stop(None))
    print(port, flush=True)
    server.wait_for_termination()


main()
