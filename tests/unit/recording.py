"""Pulumi mocks that record what a program declares."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks


@dataclass(frozen=True)
class Declared:
    """One resource as the engine is told of it."""

    type: str
    name: str
    inputs: dict[str, Any]
    """Property names as on the wire; a secret is {rpc signature: …}: see `secrets_in`."""
    options: Any
    """The raw RegisterResourceRequest."""


class Recorder(Mocks):
    """Answers as if everything declared could be made."""

    def __init__(self, hook_addresses: Sequence[str]) -> None:
        self._hook_addresses = hook_addresses

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        outputs = dict(args.inputs)
        if args.typ == "docker:index/remoteImage:RemoteImage":
            outputs |= {"imageId": f"sha256:{args.inputs['name']}"}
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> Any:
        if args.token == "pulumi:pulumi:readStackResourceOutputs":
            return {"name": args.args["stackName"], "outputs": {}}
        if args.token == "github:index/getIpRanges:getIpRanges" and self._hook_addresses:
            return {"hooks": list(self._hook_addresses)}
        raise AssertionError(f"the program asked for {args.token}")


class _RecordingMonitor(MockMonitor):
    def __init__(self, mocks: Mocks, requests: list[Any]) -> None:
        super().__init__(mocks)
        self._requests = requests

    def RegisterResource(self, request: Any) -> Any:
        self._requests.append(request)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def declare(program: Callable[[], Any], preview: bool = False, hook_addresses: Sequence[str] = ()) -> list[Declared]:
    """Run `program` against mocks and return all it declares; what it raises is raised here."""
    requests: list[Any] = []
    mocks = Recorder(hook_addresses)
    asyncio.set_event_loop(asyncio.new_event_loop())
    set_mocks(
        mocks,
        project="carica-kestra",
        stack="test",
        preview=preview,
        monitor=_RecordingMonitor(mocks, requests),
    )

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> None:
        program()

    run()
    return [
        Declared(each.type, each.name, rpc.deserialize_properties(each.object, keep_unknowns=True), each)
        for each in requests
        if each.type != "pulumi:pulumi:Stack"
    ]
