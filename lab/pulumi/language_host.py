"""`pulumi-language-python`, the lab's: starts programs with the script that Pulumi's own SDK module ships.

The official host is a Go module that no registry serves. This one runs programs, policy packs and plugins in a virtual
environment, which is all the desk asks of it; anything else is refused by name. A policy pack is not told the stack's
configuration: the official host puts a proxy between the engine and the pack for that.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import IO, Any, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

VERSION = "3.259.0"
SCRIPT = "pulumi-language-python-exec"
"""The SDK's own starter of programs, which lab/toolchain.py puts on PATH."""
BAIL = 32
"""Exit code of a program whose error has been shown already."""
STOP_SECONDS = 5
"""What a cancelled program has to end by itself, as with the official host."""
ENGINE_SECONDS = 1
"""How often the host looks for the engine that started it: one that was killed ends nothing."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """The part of the protocol that running a program takes."""

    def __init__(self, engine: str) -> None:
        """Run programs for the engine at `engine`."""
        self._engine = engine
        self._cancelled = threading.Event()
        self._running: set[subprocess.Popen[bytes]] = set()

    # --- what the engine asks before it runs anything ---

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say that the host is there."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say which version of the SDK this belongs to."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Ask for no plugin: the lab has put them where the engine looks."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Ask for no plugin."""
        return language_pb2.GetRequiredPluginsResponse()

    def About(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say which Python programs run on."""
        python = _python(request.info, context)
        words = [str(python), "-c", "import platform; print(platform.python_version())"]
        version = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        return language_pb2.AboutResponse(executable=str(python), version=version)

    def GetProgramDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        """List the packages of the program's environment."""
        words = [str(_python(request.info, context)), "-m", "pip", "list", "--format", "json"]
        if not request.transitiveDependencies:
            words.append("--not-required")
        listed = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=each["name"], version=each["version"]) for each in listed]
        )

    def InstallDependencies(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse: the Makefile makes the environment, from pinned packages."""
        _abort(context, "the lab's Python host installs no packages: run `make .venv`")

    # --- running ---

    def Run(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Run the program to its end; its output goes where this process's goes, to the engine."""
        python = _python(request.info, context)
        words = {
            "--monitor": request.monitor_address,
            "--engine": self._engine,
            "--project": request.project,
            "--root_directory": request.info.root_directory,
            "--stack": request.stack,
            "--pwd": request.pwd,
            "--dry_run": str(request.dryRun).lower(),
            "--parallel": str(request.parallel),
            "--organization": request.organization,
        }
        # No word for what is not given: the script knows an absent organization, not an empty one.
        given = [word for pair in words.items() if pair[1] for word in pair]
        env = {
            **_activated(python),
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        command = [str(python), "-u", _script(context), *given, request.info.entry_point, *request.args]
        program = self._start(command, context, env=env)
        code = self._end(program)
        if code == BAIL or self._cancelled.is_set():
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error="" if code == 0 else f"the program ended with exit code {code}")

    def RunPlugin(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        """Run a policy pack, or a plugin written in Python; its output goes back piece by piece."""
        directory = request.info.program_directory
        python = _python(request.info, context)
        if request.kind == "analyzer":
            # A policy pack's directory comes last and is where it runs, as with the official host.
            command, where = ["-u", "-m", "pulumi.policy", *request.args, directory], directory
        else:
            command, where = ["-u", directory, *request.args], request.pwd
        env = _activated(python) | dict(pair.split("=", 1) for pair in request.env)
        plugin = self._start(
            [str(python), *command], context, env=env, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()
        readers = [
            threading.Thread(target=_forward, args=(stream, name, pieces), daemon=True)
            for name, stream in (("stdout", plugin.stdout), ("stderr", plugin.stderr))
        ]
        for reader in readers:
            reader.start()
        open_ = len(readers)
        while open_:
            if piece := pieces.get():
                yield piece
            else:
                open_ -= 1
        yield language_pb2.RunPluginResponse(exitcode=self._end(plugin))

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Stop what runs."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Stop what runs, quietly: an interrupt would have Python print a traceback."""
        self._cancelled.set()
        for process in list(self._running):
            _stop(process)

    def _start(self, command: Sequence[str], context: grpc.ServicerContext, **how: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, **how)
        self._running.add(process)
        # The engine also drops the call when it is done with a plugin.
        if not context.add_callback(lambda: _stop(process)):
            _stop(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        code = process.wait()
        self._running.discard(process)
        return code


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    killer = threading.Timer(STOP_SECONDS, process.kill)
    killer.daemon = True
    killer.start()


def _forward(stream: IO[bytes], name: str, pieces: "queue.SimpleQueue[Any]") -> None:
    while piece := os.read(stream.fileno(), 65536):
        pieces.put(language_pb2.RunPluginResponse(**{name: piece}))  # type: ignore[arg-type]  # one of its two streams
    pieces.put(None)


def _python(info: Any, context: grpc.ServicerContext) -> Path:
    """Return the Python of the virtual environment that the project names."""
    options = json_format.MessageToDict(info.options)
    if not (name := str(options.pop("virtualenv", ""))):
        _abort(context, "the lab's Python host wants runtime.options.virtualenv in Pulumi.yaml")
    if refused := sorted(option for option, value in options.items() if (option, value) != ("toolchain", "pip")):
        _abort(context, f"the lab's Python host does not implement runtime.options: {', '.join(refused)}")
    python = Path(info.root_directory) / name / "bin/python"
    if not python.exists():
        _abort(context, f"there is no virtual environment {python.parent.parent}: run `make .venv`")
    return python


def _script(context: grpc.ServicerContext) -> str:
    return shutil.which(SCRIPT) or _abort(context, f"{SCRIPT} is not on PATH: `make env` prints a PATH that has it")


def _activated(python: Path) -> dict[str, str]:
    """Return the environment as the virtual environment's `activate` would make it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    return kept | {"VIRTUAL_ENV": str(python.parent.parent), "PATH": f"{python.parent}:{os.environ.get('PATH', '')}"}


def _abort(context: grpc.ServicerContext, message: str) -> NoReturn:
    # Not UNIMPLEMENTED: the CLI takes that for an old host and says nothing.
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
    raise AssertionError("abort raises")


def main() -> None:
    """Serve until the engine is done; the engine's address is the last argument."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    host = Host(sys.argv[-1])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")

    # The engine ends this process with an interrupt; one at the terminal does not come here, as the engine puts it and
    # the program into a process group of their own.
    def end(*_: object) -> None:
        host.stop()
        server.stop(None)

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    server.start()
    print(port, flush=True)
    engine = os.getppid()
    while server.wait_for_termination(ENGINE_SECONDS):
        if os.getppid() != engine:
            end()


if __name__ == "__main__":
    main()
