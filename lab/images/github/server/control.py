"""What a person at the lab may do that GitHub has no API for, under /_lab/. It asks for no log-in: it is a lab."""

import base64
import datetime
import secrets
from typing import Any

from flask import Flask, Response, jsonify, request
from nacl.public import PrivateKey, SealedBox
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .auth import digest, named
from .git import ZERO, Git, person
from .misbehaviour import Misdeed
from .models import App, DeployKey, Environment, Owner, Repository, Settings, Team, Token, now
from .payloads import workflow_run
from .pushes import moved
from .routes.repositories import create
from .rules import judged
from .server import Server

PREFIX = "/_lab"


class Wanted(BaseModel):
    """A body; what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid")


class WantedOwner(Wanted):
    """An organisation with its plan."""

    plan: str = "free"
    secret_protection: bool = False


class WantedToken(Wanted):
    """A token; `token` is its value when the caller has one already."""

    permissions: dict[str, str]
    token: str | None = None
    owner: str = "centaurin"
    user: str = "carica-admin"
    organization_admin: bool = True
    repositories: list[str] | None = None
    expires_in: float | None = None


class WantedUser(Wanted):
    """A person."""

    organization_admin: bool = False


class WantedApp(Wanted):
    """An app, installed in `owner`."""

    slug: str
    public_key: str
    permissions: dict[str, str]
    owner: str = "centaurin"
    repositories: list[str] | None = None


class WantedCommit(Wanted):
    """Files to commit to a branch of a repository, which is made when it does not exist."""

    files: dict[str, str | None] = Field(default_factory=dict)
    branch: str = "main"
    message: str = "The first version"
    user: str = "carica-admin"
    settings: dict[str, Any] = Field(default_factory=dict)
    quietly: bool = False


class WantedRun(Wanted):
    """A workflow run that has completed."""

    name: str
    head_branch: str
    head_sha: str | None = None
    conclusion: str = "success"
    event: str = "push"
    user: str = "carica-admin"


class Missing(Exception):
    """What was asked for does not exist."""


def serve(app: Flask, server: Server) -> None:
    """Add the controls."""
    control = Control(server)
    rules: list[tuple[str, str, Any]] = [
        ("GET", "/health", control.health),
        ("POST", "/reset", control.reset),
        ("PUT", "/owners/<login>", control.owner),
        ("PUT", "/owners/<login>/teams/<slug>", control.team),
        ("PUT", "/users/<login>", control.user),
        ("POST", "/tokens", control.token),
        ("POST", "/tokens/revoke", control.revoke),
        ("POST", "/apps", control.app),
        ("PUT", "/repositories/<owner>/<name>", control.commit),
        ("GET", "/repositories/<owner>/<name>", control.repository),
        ("GET", "/repositories/<owner>/<name>/deliveries", control.deliveries),
        ("GET", "/repositories/<owner>/<name>/secrets/<secret>", control.secret),
        ("POST", "/repositories/<owner>/<name>/workflow_runs", control.run),
        ("GET", "/calls", control.calls),
        ("DELETE", "/calls", control.forget_calls),
        ("POST", "/misbehaviour", control.misbehave),
        ("DELETE", "/misbehaviour", control.behave),
        ("POST", "/inbox/<key>", control.tell),
        ("GET", "/inbox/<key>", control.told),
        ("GET", "/violations", control.violations),
        ("DELETE", "/violations", control.forget_violations),
        ("POST", "/ssh/key", control.ssh_key),
        ("POST", "/ssh/session", control.ssh_session),
        ("POST", "/judged", control.judged),
        ("POST", "/received", control.received),
    ]
    for method, rule, handler in rules:
        app.add_url_rule(PREFIX + rule, f"{method} {rule}", _guarded(server, handler), methods=[method])


def _guarded(server: Server, handler: Any) -> Any:
    def view(**args: str) -> Response | tuple[Response, int]:
        try:
            with server.store.lock:
                return jsonify(handler(**args))
        except (ValidationError, ValueError) as error:
            return jsonify(message=str(error)), 422
        except Missing as error:
            return jsonify(message=str(error)), 404

    return view


class Control:
    """The handlers; each holds the lock while it works."""

    def __init__(self, server: Server) -> None:
        """Work on `server`."""
        self._server = server
        self._store = server.store

    def _body(self) -> Any:
        return request.get_json()

    def _repository(self, owner: str, name: str) -> Repository:
        found = self._store.repository(owner, name)
        if not found:
            raise Missing(f"no repository {owner}/{name}")
        return found

    def health(self) -> Any:
        """Say that it answers, and how many deliveries are under way."""
        return {"description": self._server.description.version, "pending": self._server.courier.pending}

    def reset(self) -> Any:
        """Forget everything."""
        self._store.reset()
        self._server.calls.clear()
        self._server.misbehaviour.forget()
        return {}

    def owner(self, login: str) -> Any:
        """Make an organisation, or change its plan."""
        wanted = WantedOwner.model_validate(self._body())
        known = self._store.state.owners.setdefault(login, Owner(id=self._store.new_id(), login=login))
        known.plan, known.secret_protection = wanted.plan, wanted.secret_protection
        self._store.save()
        return {"id": known.id}

    def team(self, login: str, slug: str) -> Any:
        """Make a team."""
        if login not in self._store.state.owners:
            raise Missing(f"no organisation {login}")
        teams = self._store.state.teams
        known = next((each for each in teams if (each.owner, each.slug) == (login, slug)), None)
        if not known:
            known = Team(id=self._store.new_id(), owner=login, slug=slug)
            teams.append(known)
            self._store.save()
        return {"id": known.id}

    def user(self, login: str) -> Any:
        """Make a person, or say who owns the organisation."""
        known = self._store.user(login)
        known.organization_admin = WantedUser.model_validate(self._body()).organization_admin
        self._store.save()
        return {"id": known.id}

    def token(self) -> Any:
        """Make a fine-grained personal access token."""
        wanted = WantedToken.model_validate(self._body())
        value = wanted.token or f"github_pat_{secrets.token_urlsafe(40).replace('-', '0')}"
        expires = None
        if wanted.expires_in is not None:
            expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=wanted.expires_in)
        self._store.user(wanted.user).organization_admin = wanted.organization_admin
        self._store.state.tokens[digest(value)] = Token(
            user=wanted.user,
            owner=wanted.owner,
            permissions=named(wanted.permissions),
            repositories=wanted.repositories,
            expires_at=expires,
        )
        self._store.save()
        return {"token": value}

    def revoke(self) -> Any:
        """Revoke a token."""
        self._store.state.tokens.pop(digest(self._body()["token"]), None)
        self._store.save()
        return {}

    def app(self) -> Any:
        """Register an app and install it."""
        wanted = WantedApp.model_validate(self._body())
        made = App(
            id=self._store.new_id(),
            slug=wanted.slug,
            name=wanted.slug,
            owner=wanted.owner,
            public_key=wanted.public_key,
            permissions=named(wanted.permissions),
            installation_id=self._store.new_id(),
            repositories=wanted.repositories,
        )
        self._store.state.apps[made.id] = made
        self._store.save()
        return {"id": made.id, "installation_id": made.installation_id}

    def commit(self, owner: str, name: str) -> Any:
        """Commit files to a repository, made when it does not exist; hooks hear of it as of any push, or not at all."""
        wanted = WantedCommit.model_validate(self._body())
        found = self._store.repository(owner, name)
        if not found:
            if owner not in self._store.state.owners:
                raise Missing(f"no organisation {owner}")
            settings = Settings.model_validate({"default_branch": wanted.branch, **wanted.settings})
            found = create(self._server, owner, name, settings)
        commit = None
        if wanted.files:
            git, ref = Git(self._store.git_directory(found)), f"refs/heads/{wanted.branch}"
            old = git.resolve(ref)
            files = {path: None if text is None else text.encode() for path, text in wanted.files.items()}
            tree = git.changed_tree(old, files)
            commit = git.write(person(wanted.user), tree, [old] if old else [], wanted.message)
            git.update(ref, commit, old or ZERO)
            if not wanted.quietly:
                moved(self._server, found, [(ref, old or ZERO, commit)], wanted.user)
        self._store.save()
        return {"id": found.id, "commit": commit}

    def repository(self, owner: str, name: str) -> Any:
        """Show all that is remembered of a repository, secrets included, and its refs."""
        found = self._repository(owner, name)
        refs = Git(self._store.git_directory(found)).refs("refs/")
        return {**found.model_dump(mode="json"), "refs": refs}

    def deliveries(self, owner: str, name: str) -> Any:
        """List the deliveries of all hooks of a repository, oldest first, with request and answer."""
        found = self._repository(owner, name)
        return [{**each.model_dump(mode="json"), **self._store.exchange(each.id)} for each in found.deliveries]

    def secret(self, owner: str, name: str, secret: str) -> Any:
        """Open a secret of Actions, of the repository or of the environment in the query."""
        holder: Repository | Environment = self._repository(owner, name)
        if "environment" in request.args:
            environments = self._repository(owner, name).environments
            if request.args["environment"] not in environments:
                raise Missing(f"no environment {request.args['environment']}")
            holder = environments[request.args["environment"]]
        if secret.upper() not in holder.secrets:
            raise Missing(f"no secret {secret}")
        box = SealedBox(PrivateKey(base64.b64decode(holder.private_key)))
        return {"value": box.decrypt(base64.b64decode(holder.secrets[secret.upper()].encrypted_value)).decode()}

    def run(self, owner: str, name: str) -> Any:
        """Let a workflow run complete."""
        found, wanted = self._repository(owner, name), WantedRun.model_validate(self._body())
        sha = wanted.head_sha or Git(self._store.git_directory(found)).resolve(f"refs/heads/{wanted.head_branch}")
        if not sha:
            raise Missing(f"no branch {wanted.head_branch}")
        values = wanted.model_dump(exclude={"user", "head_sha"})
        payload = workflow_run(self._server, found, wanted.user, head_sha=sha, **values)
        self._server.courier.event(found, "workflow_run", payload)
        return payload

    def calls(self) -> Any:
        """Count the calls of the API since the last reset."""
        return self._server.calls

    def forget_calls(self) -> Any:
        """Count from nought again."""
        self._server.calls.clear()
        return {}

    def misbehave(self) -> Any:
        """Plan a misdeed."""
        self._server.misbehaviour.plan(Misdeed.model_validate(self._body()))
        return {}

    def behave(self) -> Any:
        """Plan no misdeeds."""
        self._server.misbehaviour.forget()
        return {}

    def tell(self, key: str) -> Any:
        """Take a message, as a chat's incoming webhook does; the key in the address is all there is to know."""
        self._server.inbox.setdefault(key, []).append(self._body())
        return {}

    def told(self, key: str) -> Any:
        """List the messages, oldest first."""
        return self._server.inbox.get(key, [])

    def violations(self) -> Any:
        """List where caller or lab did not keep to GitHub's description."""
        return self._store.state.violations

    def forget_violations(self) -> Any:
        """Forget them."""
        self._store.state.violations.clear()
        self._store.save()
        return {}

    def ssh_key(self) -> Any:
        """Say for sshd which deploy key an offered key is, if any."""
        offered = self._body()["key"].split()[:2]
        for each in self._store.state.repositories.values():
            for key in each.keys.values():
                if key.key.split()[:2] == offered:
                    return {"id": key.id}
        return {"id": None}

    def ssh_session(self) -> Any:
        """Say for a session over SSH what the key may do, in GitHub's words where it may not."""
        body = self._body()
        for each in self._store.state.repositories.values():
            if body["id"] in each.keys:
                return self._session(each, each.keys[body["id"]], body["service"], body["path"])
        return {"refusal": "ERROR: Repository not found."}

    def _session(self, of: Repository, key: DeployKey, service: str, path: str) -> Any:
        if not service:
            greeting = (
                f"Hi {of.full_name}! You've successfully authenticated, but GitHub does not provide shell access."
            )
            return {"refusal": greeting}
        if self._store.repository(*(path.split("/", 1) if "/" in path else ("", path))) is not of:
            return {"refusal": "ERROR: Repository not found."}
        if service == "git-receive-pack" and key.read_only:
            return {"refusal": "ERROR: The key you are authenticating with has been marked as read only."}
        if service == "git-receive-pack" and of.settings.archived:
            return {"refusal": "ERROR: This repository was archived so it is read-only."}
        key.last_used = now()
        self._store.save()
        return {
            "refusal": None,
            "repository": of.id,
            "directory": str(self._store.git_directory(of)),
            "actor": {"login": key.added_by, "app_id": None, "organization_admin": False, "deploy_key": key.id},
        }

    def judged(self) -> Any:
        """Judge a push for Git's hook."""
        body = self._body()
        found = self._store.state.repositories[int(body["repository"])]
        refused, lines = judged(found, self._server.objects.web, body["updates"], body["actor"])
        return {"refused": refused, "lines": lines}

    def received(self) -> Any:
        """Hear from Git's hooks that a push has been received."""
        body = self._body()
        found = self._store.state.repositories[int(body["repository"])]
        updates = [(each["ref"], each["old"], each["new"]) for each in body["updates"]]
        moved(self._server, found, updates, body["actor"]["login"])
        return {}
