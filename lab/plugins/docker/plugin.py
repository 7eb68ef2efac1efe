"""The plugin: what pulumi-docker adds to the protocol's common part."""

import json
from typing import Any

import grpc
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2

from lab.plugins.docker import container, engine, image, network, volume
from lab.plugins.framework import Plugin

CONTAINER = "docker:index/container:Container"
KINDS = {
    CONTAINER: container.KIND,
    "docker:index/network:Network": network.KIND,
    "docker:index/remoteImage:RemoteImage": image.KIND,
    "docker:index/volume:Volume": volume.KIND,
}
ORDERED = frozenset({"command", "entrypoints", "tests"})
"""Lists in which the order counts; the real plugin holds all others as sets."""


class DockerPlugin(Plugin):
    """Serves the resource types above as pulumi-docker 5.1.0 does."""

    def __init__(self) -> None:
        """Stand for the version whose behaviour was copied."""
        super().__init__("docker", "5.1.0", KINDS, engine.configure)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Fill in the defaults, as the real plugin does: a refresh then has something to differ from."""
        full = provider_pb2.CheckRequest()
        full.CopyFrom(request)
        if _token(request.urn) == CONTAINER:
            for name, value in container.DEFAULTS.items():
                if name not in request.news.fields:
                    full.news[name] = value
        return super().Check(full, context)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Compare sets as sets, and keep a renamed network or volume until the new one is there."""
        sorted_ = provider_pb2.DiffRequest()
        sorted_.CopyFrom(request)
        for field in ("olds", "old_inputs", "news"):
            values = json_format.MessageToDict(getattr(request, field))
            getattr(sorted_, field).CopyFrom(_struct(_sets_sorted(values)))
        answer = super().Diff(sorted_, context)
        # The real plugin deletes first where the new one needs the name of the old one; a container always does.
        if "name" in answer.replaces and _token(request.urn) != CONTAINER:
            answer.deleteBeforeReplace = False
        return answer


def _token(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def _sets_sorted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _sets_sorted(each, key) for key, each in value.items()}
    if isinstance(value, list):
        items = [_sets_sorted(each) for each in value]
        return items if name in ORDERED else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return value
