"""A resource plugin in few words: Pulumi's provider protocol over plain dictionaries.

Not the SDK's own framework (pulumi.provider.experimental): that cannot report a resource that was made and then failed,
which is how the real plugins have the next `up` replace a container that never got healthy.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)
from pulumi.runtime.rpc import UNKNOWN

Properties = dict[str, Any]
FAILED = "__failed"
"""Marks, in a resource's state, one that was made and failed: it is replaced whatever else has changed."""
SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key by which the protocol tells an asset from a plain object."""
MESSAGE_BYTES = 400 * 1024 * 1024
"""What Pulumi's own plugins allow."""
ENGINE_SECONDS = 1
"""How often a plugin looks for the engine that started it: one that was killed ends nothing."""

cancelled = threading.Event()
"""Set once the engine wants this plugin to stop: what waits for long gives up then."""


class Failed(Exception):
    """An operation failed; nothing was made."""


class MadeButFailed(Exception):
    """Something was made and is not as it should be: Pulumi remembers it and replaces it on the next up."""

    def __init__(self, message: str, id_: str, outputs: Properties) -> None:
        """Say what is wrong with the resource `id_`, which is now as in `outputs`."""
        super().__init__(message)
        self.id = id_
        self.outputs = outputs


class Screen:
    """Where an operation shows lines while it runs: called with a line, or told to warn."""

    def __init__(self, engine: engine_pb2_grpc.EngineStub | None, urn: str) -> None:
        """Show them beside the resource `urn`; without an engine nowhere."""
        self._engine = engine
        self._urn = urn

    def __call__(self, line: str) -> None:
        """Show progress, which goes when the resource is done, as with the real plugins."""
        self._log(line, engine_pb2.INFO, passing=True)

    def warn(self, line: str) -> None:
        """Show a warning, which stays."""
        self._log(line, engine_pb2.WARNING, passing=False)

    def _log(self, line: str, severity: engine_pb2.LogSeverity.ValueType, *, passing: bool) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=line, urn=self._urn, ephemeral=passing)
        # An engine that is gone must not keep an operation from ending.
        with contextlib.suppress(grpc.RpcError):
            if self._engine:
                self._engine.Log(request)


@dataclass(frozen=True)
class Kind:
    """A resource type: what it takes, and what is done with it."""

    properties: frozenset[str]
    """What the stand-in implements; anything else is refused."""
    replacing: frozenset[str]
    """What replaces the resource when it changes; the rest updates it."""
    delete_first: bool
    """Whether a replaced resource is deleted before the new one is created."""
    create: Callable[[Properties, Screen], tuple[str, Properties]]
    """Inputs and a way to show a line → id and outputs."""
    read: Callable[[str, Properties], Properties | None]
    """Id and old outputs → outputs, or None when it is gone."""
    update: Callable[[str, Properties, Properties, Screen], Properties]
    """Id, old outputs, new inputs, a way to show a line → outputs."""
    delete: Callable[[str, Properties], None]
    """Id and outputs."""
    check: Callable[[Properties], Mapping[str, str]] = lambda _: {}
    """Inputs → property and fault, for combinations that are refused."""
    made_anew: frozenset[str] = frozenset()
    """Outputs that every create and update makes anew: a preview cannot know them."""


def _plain(message: struct_pb2.Struct) -> Properties:
    return dict(_whole(json_format.MessageToDict(message)))


def _whole(value: Any) -> Any:
    """Numbers travel as floats: give back the integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


def _comparable(value: Any) -> Any:
    """An asset is what it holds, wherever its file lies."""
    if isinstance(value, dict) and SIGNATURE in value:
        return value.get("hash", value)
    return value


def _struct(value: Properties) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Serves resource types.

    Secrets and previews are the engine's business: it marks outputs that are named like secret inputs.
    """

    def __init__(
        self, name: str, version: str, kinds: Mapping[str, Kind], configure: Callable[[Properties], None]
    ) -> None:
        """Stand for `name` at `version`; `configure` takes the plugin's settings."""
        self._name = name
        self._version = version
        self._kinds = kinds
        self._configure = configure
        self._engine: engine_pb2_grpc.EngineStub | None = None

    def serve(self, engine: str) -> None:
        """Serve until the engine stops this process."""
        if engine:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()

        # The engine's way to end a plugin. A terminal's interrupt does not come here: plugins have their own group.
        def end(*_: object) -> None:
            cancelled.set()
            server.stop(None)

        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, end)
        print(port, flush=True)
        parent = os.getppid()
        while server.wait_for_termination(ENGINE_SECONDS):
            if os.getppid() != parent:
                end()

    # --- the plugin itself ---

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say which version of the real plugin this stands for."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Give the least schema that the engine takes."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self._name, "version": self._version}))

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Be attached to by a debugger: nothing to do."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Give up what waits; an operation that is bounded finishes."""
        cancelled.set()
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take every setting; Configure refuses what it does not know."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Tell whether the plugin's settings changed."""
        changed = _plain(request.olds) != _plain(request.news)
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take the settings."""
        try:
            self._configure(_plain(request.args))
        except Failed as error:
            self._abort(context, str(error))
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True, acceptResources=False)

    # --- resources ---

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse properties that are not implemented."""
        kind = self._kind(request.urn, context)
        news = _plain(request.news)
        unknown = {
            key: f"the lab's stand-in of {self._name} does not implement it; install the official plugin"
            for key in news
            if key not in kind.properties and not key.startswith("__")
        }
        failures = [provider_pb2.CheckFailure(property=k, reason=v) for k, v in {**unknown, **kind.check(news)}.items()]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Tell what changed, and whether that replaces the resource."""
        kind = self._kind(request.urn, context)
        # Inputs, as some outputs are not what was asked for; a refresh that found a difference stands in the outputs.
        olds, news, state = (
            {key: _comparable(value) for key, value in _plain(each).items()}
            for each in (request.old_inputs, request.news, request.olds)
        )
        changed = sorted(
            key
            for key in (olds.keys() | news.keys()) & kind.properties
            if olds.get(key) != news.get(key) or (key in news and key in state and state[key] != news[key])
        )
        replaces = [key for key in changed if key in kind.replacing]
        if FAILED in state:
            changed = replaces = ["name", *changed]
        some = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some, diffs=changed, replaces=replaces, deleteBeforeReplace=bool(replaces) and kind.delete_first
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Create a resource."""
        inputs, kind = _plain(request.properties), self._kind(request.urn, context)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(inputs | dict.fromkeys(kind.made_anew, UNKNOWN)))
        with self._reporting(context):
            id_, outputs = kind.create(inputs, Screen(self._engine, request.urn))
        return provider_pb2.CreateResponse(id=id_, properties=_struct(outputs))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Look at a resource."""
        with self._reporting(context):
            outputs = self._kind(request.urn, context).read(request.id, _plain(request.properties))
        if outputs is None:
            return provider_pb2.ReadResponse(id="")
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(outputs), inputs=request.inputs)

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change a resource in place."""
        olds, news, kind = _plain(request.olds), _plain(request.news), self._kind(request.urn, context)
        if request.preview:
            expected = {**olds, **news, **dict.fromkeys(kind.made_anew, UNKNOWN)}
            return provider_pb2.UpdateResponse(properties=_struct(expected))
        with self._reporting(context):
            outputs = kind.update(request.id, olds, news, Screen(self._engine, request.urn))
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Delete a resource."""
        with self._reporting(context):
            self._kind(request.urn, context).delete(request.id, _plain(request.properties))
        return empty_pb2.Empty()

    # --- helpers ---

    def _kind(self, urn: str, context: grpc.ServicerContext) -> Kind:
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self._kinds:
            self._abort(context, f"the lab's stand-in of {self._name} has no {token}; install the official plugin")
        return self._kinds[token]

    def _reporting(self, context: grpc.ServicerContext) -> "_Reporting":
        return _Reporting(self, context)

    def _abort(self, context: grpc.ServicerContext, message: str) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, message)
        raise AssertionError("abort raises")


class _Reporting:
    """Turns a failure of a resource into the protocol's errors."""

    def __init__(self, plugin: Plugin, context: grpc.ServicerContext) -> None:
        self._plugin = plugin
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MadeButFailed):
            detail = any_pb2.Any()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=error.id, properties=_struct({**error.outputs, FAILED: True}), reasons=[str(error)]
                )
            )
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
            self._context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            self._plugin._abort(self._context, str(error))
        if isinstance(error, Failed):
            self._plugin._abort(self._context, str(error))


def engine_address() -> str:
    """Return the engine's address, which it gives as the last argument."""
    return sys.argv[-1] if len(sys.argv) > 1 and not sys.argv[-1].startswith("-") else ""
