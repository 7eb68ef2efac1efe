"""The GitHub plugin that the lab builds, against an API that knows just the few calls these tests make."""

import base64
import inspect
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pulumi_github
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lab.pulumi_plugins import HOME, VERSIONS
from lab.toolchain import toolchain
from tests.trial import Project

PROGRAM = """
import pulumi
import pulumi_github as github

settings = pulumi.Config().require_object("settings")
provider = github.Provider(
    "github", owner="centaurin", base_url=pulumi.Config().require("api"), write_delay_ms=0, **settings["login"]
)
github.RepositoryWebhook(
    "hook",
    repository="carica",
    events=["push"],
    configuration={"url": settings["url"], "content_type": "json", "secret": settings["secret"]},
    opts=pulumi.ResourceOptions(provider=provider),
)
github.RepositoryDeployKey(
    "key", repository="carica", title="deploy", key=settings["key"], opts=pulumi.ResourceOptions(provider=provider)
)
"""
HOOKS = "/api/v3/repos/centaurin/carica/hooks"
KEYS = "/api/v3/repos/centaurin/carica/keys"


@dataclass
class Api:
    """What was asked, and what was written."""

    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    logins: set[str] = field(default_factory=set)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.calls.append((method, path))
        if path == "/api/v3/orgs/centaurin":
            return 200, {"login": "centaurin", "id": 1, "type": "Organization"}
        if path == "/api/v3/app/installations/22/access_tokens":
            return 201, {"token": "installation-token", "expires_at": "2099-01-01T00:00:00Z"}
        if method == "POST" and path in (HOOKS, KEYS):
            number = len(self.calls)
            path = f"{path}/{number}"
            self.objects[path] = {"id": number, "url": self.url + path, "active": True, "read_only": True} | body
            return 201, self._shown(path)
        if path not in self.objects:
            return 404, {"message": "Not Found"}
        if method == "DELETE":
            del self.objects[path]
            return 204, None
        if method == "PATCH":
            self.objects[path] |= body
        return 200, self._shown(path)

    def _shown(self, path: str) -> dict[str, Any]:
        """Mask a secret, as GitHub does."""
        shown = dict(self.objects[path])
        if "config" in shown:
            shown["config"] = shown["config"] | {"secret": "********"}
        return shown

    def written(self) -> list[tuple[str, str]]:
        """Return the calls that were no reading, object numbers left out, and forget all calls."""
        found = [(method, re.sub(r"/\d+$", "", path)) for method, path in self.calls if method != "GET"]
        self.calls.clear()
        return found


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            served.logins.add(self.headers.get("Authorization", ""))
            status, body = served.answer(self.command, self.path.partition("?")[0], json.loads(given or b"{}"))
            encoded = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    # What a person has set for GitHub's own tools would be taken where the program gives nothing.
    return toolchain().environment | {"GITHUB_TOKEN": "", "GITHUB_OWNER": "", "GITHUB_BASE_URL": ""}


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str], api: Api) -> Project:
    made = Project(tmp_path, environment)
    made.program(PROGRAM)
    assert made.pulumi("config", "set", "api", f"{api.url}/")[0] == 0
    return made


def settings(project: Project, **changed: Any) -> None:
    """Set, as one secret, what the program declares."""
    value = {
        "login": {"token": "planted-token"},
        "url": "https://localhost/planted-url",
        "secret": "planted-secret",
        "key": "ssh-ed25519 AAAA1",
    } | changed
    assert project.pulumi("config", "set", "--secret", "settings", stdin=json.dumps(value))[0] == 0


@pytest.fixture(scope="module")
def told(environment: dict[str, str]) -> dict[str, Any]:
    """What the plugin tells of itself: Terraform's schema, and how it is bridged."""
    program = HOME / "plugins" / f"resource-github-v{VERSIONS['github']}/pulumi-resource-github"
    shown = subprocess.run([program, "-get-provider-info"], stdout=subprocess.PIPE, check=True).stdout
    return dict(json.loads(shown))


RESOURCES: dict[str, Any] = {
    each.pulumi_type: each
    for each in vars(pulumi_github).values()
    if isinstance(each, type) and issubclass(each, pulumi.CustomResource) and hasattr(each, "pulumi_type")
}
PYTHON = {1: "bool", 2: "int", 3: "float", 4: "str", 6: "Mapping"}
"""Terraform's types, and what the package's annotations call them; 5 and 7 are lists and sets."""


def test_it_has_the_types_of_its_python_package(told: dict[str, Any]) -> None:
    # A type that the package names differently would be "unknown resource" at the first `up` that declares it.
    known = {each["tok"] for each in told["resources"].values()}
    assert RESOURCES.keys() - known == {"pulumi:providers:github"}
    assert len(known) > 80


def test_it_has_the_properties_of_its_python_package(told: dict[str, Any]) -> None:
    # Terraform's "list of one at most" is a plain value in Pulumi, except where the official plugin says otherwise.
    def differences(where: str, schema: dict[str, Any], taking: Any, bridged: dict[str, Any]) -> Iterator[str]:
        annotations = {name: str(each.annotation) for name, each in inspect.signature(taking).parameters.items()}
        for name, field_ in schema.items():
            annotation = next((annotations[each] for each in (name, f"{name}s") if each in annotations), None)
            if annotation is None:
                if field_.get("optional") or field_.get("required"):
                    yield f"{where}.{name}: not in the package"
                continue
            if (word := PYTHON.get(field_["type"])) and word not in annotation:
                yield f"{where}.{name}: {word} here, {annotation} in the package"
            if field_["type"] not in (5, 7):
                continue
            plain = bridged.get(name, {}).get("maxItemsOne", field_.get("maxItems") == 1)
            if plain == ("Sequence" in annotation):
                yield f"{where}.{name}: {'no list' if plain else 'a list'} here, {annotation} in the package"
            if within := field_["element"].get("resource"):
                arguments = getattr(pulumi_github._inputs, re.findall(r"(\w+Args)\b", annotation)[0])
                yield from differences(f"{where}.{name}", within, arguments.__init__, {})

    found = list(
        differences("provider", told["provider"]["schema"], pulumi_github.Provider._internal_init, told["config"])
    )
    for name, schema in told["provider"]["resources"].items():
        bridged = told["resources"][name]
        found += differences(name, schema, RESOURCES[bridged["tok"]]._internal_init, bridged["fields"] or {})
    assert found == []


def test_what_is_declared_is_written_once_and_changed_in_place(project: Project, api: Api) -> None:
    settings(project)
    assert "warning" not in project.up()
    assert sorted(api.written()) == [("POST", HOOKS), ("POST", KEYS)]
    project.expect_no_changes()
    project.up("--refresh")
    assert api.written() == []
    assert api.logins == {"Bearer planted-token"}

    settings(project, secret="another-secret")
    project.up()
    assert api.written() == [("PATCH", HOOKS)]
    assert next(each for each in api.objects.values() if "config" in each)["config"]["secret"] == "another-secret"

    settings(project, secret="another-secret", key="ssh-ed25519 AAAA2")
    project.up()
    assert api.written() == [("DELETE", KEYS), ("POST", KEYS)]  # a title or key in use would be refused

    code, shown = project.pulumi("destroy", "--yes", "--skip-preview")
    assert code == 0, shown
    assert api.objects == {}


def test_the_plugin_knows_by_itself_what_is_secret(project: Project, api: Api) -> None:
    # The program lays the setting open, so that nothing it declares is marked as a secret.
    project.program(PROGRAM.replace("require_object", "get_object"))
    settings(project)
    shown = project.up("--diff")
    resources = project.resources()
    for part in ("inputs", "outputs"):
        configuration = resources["hook"][part]["configuration"]
        assert "ciphertext" in configuration["secret"]
        assert "ciphertext" in configuration["url"]  # it holds Kestra's webhook key
        assert "ciphertext" in resources["github"][part]["token"]
    for planted in ("planted-token", "planted-url", "planted-secret"):
        assert planted not in json.dumps(resources)
        assert planted not in shown


def test_an_app_logs_in_with_its_key(project: Project, api: Api) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
    settings(project, login={"app_auth": {"id": "11", "installation_id": "22", "pem_file": pem}})
    project.up()
    assert ("POST", "/api/v3/app/installations/22/access_tokens") in api.calls
    app = next(login for login in api.logins if login.count(".") == 2)
    signed, _, signature = app.removeprefix("Bearer ").rpartition(".")
    padded = base64.urlsafe_b64decode(signature + "==")
    key.public_key().verify(padded, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))["iss"] == "11"
    assert api.logins == {app, "Bearer installation-token"}
    assert "PRIVATE KEY" not in json.dumps(project.resources())
