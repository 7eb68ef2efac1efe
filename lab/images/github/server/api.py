"""The way of a call: counted, authenticated, allowed, checked against the description, answered, checked again."""

import hashlib
import json
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Request, Response, request

from .answers import Answer, Refusal, Wrapped, not_found
from .auth import Caller, caller
from .misbehaviour import commit
from .models import Json, Repository
from .server import Server

PREFIX = "/api/v3"
WITH_SLASHES = {"path", "ref", "branch", "base", "basehead"}
"""Parts of a path that may hold slashes themselves."""
NO_AGENT = (
    "Request forbidden by administrative rules. Please make sure your request has a User-Agent header "
    "(https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required)."
)
READ_ONLY = "Repository was archived so is read-only."


@dataclass
class Call:
    """A call that may be answered: who, of which repository, with what."""

    server: Server
    caller: Caller
    args: dict[str, str]
    query: dict[str, str]
    body: Json
    _repository: Repository | None = None

    @property
    def repository(self) -> Repository:
        """Return the repository that the path names, which the caller sees."""
        assert self._repository is not None  # noqa: S101 (such paths only)
        return self._repository

    @property
    def login(self) -> str:
        """Return the caller's login, which such a call has."""
        assert self.caller.user is not None  # noqa: S101 (refused otherwise)
        return self.caller.user.login

    def number(self, name: str) -> int:
        """Return a number of the path; what is none leads nowhere."""
        if not self.args[name].isdigit():
            raise not_found()
        return int(self.args[name])


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """One operation of the description that is served."""

    method: str
    template: str
    needs: str
    status: int
    handler: Handler = field(compare=False)


ROUTES: list[Route] = []


def route(method: str, template: str, needs: str = "", status: int = 200) -> Callable[[Handler], Handler]:
    """Serve an operation, named as the description names it.

    `needs` are permissions as X-Accepted-GitHub-Permissions writes them; "app" is an app's own call, "" is anyone's.
    """

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, template, needs, status, handler))
        return handler

    return register


def serve(app: Flask, server: Server) -> None:
    """Add all operations to `app`."""
    for each in ROUTES:
        server.description.operation(each.method, each.template)
        app.add_url_rule(
            PREFIX + _rule(each.template),
            f"{each.method} {each.template}",
            _view(server, each),
            methods=[each.method],
            provide_automatic_options=False,
        )


def _rule(template: str) -> str:
    for part in template.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            template = template.replace(part, f"<{'path:' if name in WITH_SLASHES else ''}{name}>")
    return template


def _view(server: Server, route_: Route) -> Callable[..., Response]:
    def view(**args: str) -> Response:
        name = f"{route_.method} {route_.template}"
        with server.store.lock:
            server.calls[name] = server.calls.get(name, 0) + 1
        who = Caller()
        try:
            if not request.headers.get("User-Agent"):
                raise Refusal(403, NO_AGENT)
            with server.store.lock:
                who = caller(server.store, request.headers.get("Authorization"))
            misdeed = server.misbehaviour.take(request.method, request.path.removeprefix(PREFIX))
            if misdeed:
                commit(misdeed, who.user.login if who.user else "nobody")
            with server.store.lock:
                answer = _answer(server, route_, who, args)
                problems = server.description.answer_problems(
                    route_.method, route_.template, answer.status, answer.body
                )
                if request.method != "GET":
                    server.store.save()
            if problems:
                server.violation(f"answer of {name}", problems)
                answer = _failure(f"the lab's GitHub would have answered {name} wrongly", problems)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.body, refusal.headers)
        except Exception as error:
            # A mistake of the lab's: tests find it among the violations, whatever the caller makes of a 500.
            server.violation(f"answer of {name}", traceback.format_exception(error)[-3:])
            answer = _failure(f"the lab's GitHub could not answer {name}", [repr(error)])
        return _respond(answer, who, route_.needs)

    return view


def _failure(message: str, problems: list[str]) -> Answer:
    return Answer(500, {"message": message, "errors": problems})


def _answer(server: Server, route_: Route, who: Caller, args: dict[str, str]) -> Answer:
    repository = _repository(server, who, args)
    if route_.needs == "app":
        if not who.app:
            raise Refusal(401, "A JSON web token could not be decoded")
    elif route_.needs:
        who.require(route_.needs, repository)
    changes_settings = route_.template == "/repos/{owner}/{repo}"
    if repository and repository.settings.archived and request.method != "GET" and not changes_settings:
        raise Refusal(403, READ_ONLY)
    body = _body(request)
    query = dict(request.args)
    problems = server.description.request_problems(route_.method, route_.template, query, body)
    if problems:
        server.violation(f"request {route_.method} {route_.template}", problems)
        raise Refusal(422, "Invalid request.\n\n" + "\n".join(problems))
    call = Call(server, who, args, query, body if isinstance(body, dict) else {}, repository)
    result = route_.handler(call)
    if isinstance(result, Answer):
        return result
    if isinstance(result, list | Wrapped):
        return _page(result, query)
    return Answer(204 if result is None else route_.status, result)


def _repository(server: Server, who: Caller, args: dict[str, str]) -> Repository | None:
    """Return the repository that the path names; raises the refusal for one that is not seen, or has moved."""
    if "repo" not in args:
        return None
    found = server.store.repository(args["owner"], args["repo"])
    if not found or not who.sees(found):
        raise not_found()
    if found.name.lower() != args["repo"].lower():
        rest = request.path.split("/", 6)[6:]
        where = "/".join([f"{server.objects.api}/repositories/{found.id}", *rest])
        status = 301 if request.method == "GET" else 307
        message = "Moved Permanently" if status == 301 else "Temporary Redirect"
        raise Refusal(status, message, headers={"Location": where}, more={"url": where})
    return found


def _body(request_: Request) -> Any:
    data = request_.get_data()
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise Refusal(400, "Problems parsing JSON") from None


def _page(result: list[Any] | Wrapped, query: dict[str, str]) -> Answer:
    """Cut a list into the page that was asked for, with links to the others."""
    items = result.items if isinstance(result, Wrapped) else result
    size = min(int(query.get("per_page", 30)), 100)
    page, last = int(query.get("page", 1)), max(1, -(-len(items) // size))
    links = {"first": 1, "prev": page - 1} if page > 1 else {}
    links |= {"next": page + 1, "last": last} if page < last else {}
    header = ", ".join(
        f'<{request.base_url}?{urlencode({**query, "page": number})}>; rel="{name}"' for name, number in links.items()
    )
    shown: Any = items[(page - 1) * size : page * size]
    if isinstance(result, Wrapped):
        shown = {"total_count": len(items), **result.more, result.key: shown}
    return Answer(200, shown, {"Link": header} if header else {})


def _respond(answer: Answer, who: Caller, needs: str) -> Response:
    text = "" if answer.body is None else json.dumps(answer.body)
    response = Response(text, answer.status, content_type="application/json; charset=utf-8")
    if answer.body is None:
        response.headers.remove("Content-Type")
    if request.method == "GET" and answer.status == 200:
        # As at GitHub, the caller counts: another one may see more.
        user = who.user.login if who.user else ""
        response.set_etag(hashlib.sha256(f"{user}{text}".encode()).hexdigest(), weak=True)
        response.make_conditional(request)
    headers = response.headers
    headers["X-GitHub-Media-Type"] = "github.v3; format=json"
    headers["X-GitHub-Request-Id"] = uuid.uuid4().hex.upper()
    headers["X-RateLimit-Limit"] = "5000"
    headers["X-RateLimit-Remaining"] = "4999"
    headers["X-RateLimit-Used"] = "1"
    headers["X-RateLimit-Reset"] = str(int(time.time()) + 3600)
    headers["X-RateLimit-Resource"] = "core"
    if who.token and "=" in needs:
        headers["X-Accepted-GitHub-Permissions"] = needs
    if who.token and who.token.expires_at and not who.token.app_id:
        headers["GitHub-Authentication-Token-Expiration"] = who.token.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    for name, value in answer.headers.items():
        headers[name] = value
    return response


def refuse_the_rest(app: Flask, server: Server) -> None:
    """Say of everything else that the lab does not have it, which a test must not mistake for GitHub's `no`."""

    def missing(_: Exception) -> Response:
        what = f"{request.method} {request.path.removeprefix(PREFIX)}"
        if request.path.startswith((PREFIX, "/api/graphql")):
            server.violation(f"request {what}", ["not served"])
        return _respond(Answer(501, {"message": f"lab GitHub has no {what}"}), Caller(), "")

    app.register_error_handler(404, missing)
    app.register_error_handler(405, missing)


def by_id(server: Server, path: str) -> str:
    """Return a path under /repositories/{id} as the path under /repos/{owner}/{repo} that it stands for."""
    start = f"{PREFIX}/repositories/"
    if not path.startswith(start):
        return path
    number, _, rest = path.removeprefix(start).partition("/")
    with server.store.lock:
        found = server.store.state.repositories.get(int(number)) if number.isdigit() else None
    return f"{PREFIX}/repos/{found.full_name}/{rest}".rstrip("/") if found else path
