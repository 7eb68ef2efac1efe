"""Git over HTTP, by Git's own http-backend; a token is the password."""

import json
import os
import subprocess
from collections.abc import Iterator

from flask import Flask, Request, Response, request

from .answers import Refusal
from .auth import Caller, caller
from .misbehaviour import commit
from .models import Json, Repository
from .server import Server

SERVICES = {"git-upload-pack": "contents=read", "git-receive-pack": "contents=write"}
PIECE = 65536


def serve(app: Flask, server: Server) -> None:
    """Add the three addresses of the protocol for every repository."""

    def view(owner: str, repo: str, rest: str) -> Response:
        return _answer(server, owner, repo.removesuffix(".git"), rest)

    app.add_url_rule("/<owner>/<repo>/info/refs", "git refs", view, methods=["GET"], defaults={"rest": "info/refs"})
    for service in SERVICES:
        rule = f"/<owner>/<repo>/{service}"
        app.add_url_rule(rule, service, view, methods=["POST"], defaults={"rest": service})


def _answer(server: Server, owner: str, name: str, rest: str) -> Response:
    service = request.args.get("service", "") if rest == "info/refs" else rest
    if service not in SERVICES:
        return _say(403, "Please upgrade your git client.\nGitHub no longer supports git over dumb-http.")
    misdeed = server.misbehaviour.take(request.method, request.path)
    if misdeed:
        try:
            commit(misdeed, "nobody")
        except Refusal as refusal:
            return _say(refusal.status, str(refusal))
    with server.store.lock:
        try:
            who = caller(server.store, request.headers.get("Authorization"))
        except Refusal:
            return _unauthorized(
                "Invalid username or token. Password authentication is not supported for Git operations."
            )
        found = server.store.repository(owner, name)
        if not who.token and (not found or found.private or service == "git-receive-pack"):
            return _unauthorized(
                "No anonymous write access." if found and not found.private else "Repository not found."
            )
        if not found or not who.sees(found):
            return _say(404, "Repository not found.")
        if not who.may(SERVICES[service], found):
            if service == "git-receive-pack":
                login = who.user.login if who.user else ""
                return _say(403, f"Permission to {found.full_name}.git denied to {login}.")
            return _say(403, "Write access to repository not granted.")
        if service == "git-receive-pack" and found.settings.archived:
            return _say(403, "This repository was archived so it is read-only.")
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(server.store.root / "git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{found.id}.git/{rest}",
            "REMOTE_USER": who.user.login if who.user else "",
            "LAB_REPOSITORY": str(found.id),
            "LAB_ACTOR": json.dumps(actor(who, found)),
        }
    return _backend(request, env)


def actor(who: Caller, repository: Repository) -> Json:
    """Return who pushes, as rules and payloads want to know it."""
    if not who.token or not who.user:
        return {}
    admin = who.user.organization_admin
    return {
        "login": who.user.login,
        "app_id": who.token.app_id,
        "organization_admin": admin,
        "deploy_key": None,
        "workflows": who.may("workflows=write", repository),
    }


def _backend(request_: Request, env: dict[str, str]) -> Response:
    env |= {
        "REQUEST_METHOD": request_.method,
        "QUERY_STRING": request_.query_string.decode(),
        "CONTENT_TYPE": request_.content_type or "",
        "HTTP_CONTENT_ENCODING": request_.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request_.headers.get("Git-Protocol", ""),
        "REMOTE_ADDR": request_.remote_addr or "",
    }
    body = request_.get_data()
    env["CONTENT_LENGTH"] = str(len(body))
    process = subprocess.Popen(["git", "http-backend"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin  # noqa: S101 (pipes, as asked for)
    assert process.stdout  # noqa: S101
    try:
        process.stdin.write(body)
        process.stdin.close()
    except BrokenPipeError:
        pass
    status, headers = 200, []
    while line := process.stdout.readline().decode().strip():
        name, _, value = line.partition(":")
        if name == "Status":
            status = int(value.split()[0])
        else:
            headers.append((name, value.strip()))

    def pieces() -> Iterator[bytes]:
        assert process.stdout  # noqa: S101
        while piece := process.stdout.read(PIECE):
            yield piece
        process.wait()

    return Response(pieces(), status, headers)


def _say(status: int, text: str) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")


def _unauthorized(text: str) -> Response:
    response = _say(401, text)
    response.headers["WWW-Authenticate"] = 'Basic realm="GitHub"'
    return response
