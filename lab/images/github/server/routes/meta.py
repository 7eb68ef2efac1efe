"""Organisations, users, the caller itself, apps and their tokens, addresses, the rate limit."""

import datetime
import secrets
import time

from ..answers import Answer, Refusal, not_found
from ..api import Call, route
from ..auth import digest
from ..models import App, Json, Owner, Team, Token, now, stamp
from ..objects import node_id

HOOK_ADDRESSES = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
"""Where deliveries come from: in the lab, from a container's network."""


def owner(call: Call, login: str) -> Owner:
    """Return an organisation."""
    for each in call.server.store.state.owners.values():
        if each.login.lower() == login.lower():
            return each
    raise not_found()


@route("GET", "/orgs/{org}")
def organization(call: Call) -> Json:
    """Show an organisation; what only its owners see is left out, as the lab's tokens are of one repository at most."""
    found = owner(call, call.args["org"])
    mine = [each for each in call.server.store.state.repositories.values() if each.owner == found.login]
    private = sum(each.private for each in mine)
    values = {
        "login": found.login,
        "id": found.id,
        "node_id": node_id("O", found.id),
        "description": "",
        "name": found.login,
        "company": "",
        "blog": "",
        "location": "",
        "email": "",
        "twitter_username": None,
        "is_verified": False,
        "has_organization_projects": True,
        "has_repository_projects": True,
        "public_repos": len(mine) - private,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": stamp(found.created_at),
        "updated_at": stamp(found.updated_at),
        "archived_at": None,
        "type": "Organization",
        "total_private_repos": private,
        "owned_private_repos": private,
        "private_gists": 0,
        "disk_usage": 0,
        "collaborators": 0,
        "billing_email": None,
        "plan": {"name": found.plan, "space": 976562499, "private_repos": 10000, "filled_seats": 1, "seats": 1},
        "default_repository_permission": "read",
        "default_repository_branch": "main",
        "members_can_create_repositories": True,
        "two_factor_requirement_enabled": False,
        "members_allowed_repository_creation_type": "all",
        "members_can_create_public_repositories": True,
        "members_can_create_private_repositories": True,
        "members_can_create_internal_repositories": False,
        "members_can_create_pages": True,
        "members_can_create_public_pages": True,
        "members_can_create_private_pages": True,
        "members_can_delete_repositories": True,
        "members_can_change_repo_visibility": True,
        "members_can_invite_outside_collaborators": True,
        "members_can_delete_issues": False,
        "display_commenter_full_name_setting_enabled": False,
        "readers_can_create_discussions": True,
        "members_can_create_teams": True,
        "members_can_view_dependency_insights": True,
        "members_can_fork_private_repositories": False,
        "web_commit_signoff_required": False,
        "deploy_keys_enabled_for_repositories": True,
        "dependency_graph_enabled_for_new_repositories": False,
        "dependabot_alerts_enabled_for_new_repositories": False,
        "dependabot_security_updates_enabled_for_new_repositories": False,
        "advanced_security_enabled_for_new_repositories": False,
        "secret_scanning_enabled_for_new_repositories": False,
        "secret_scanning_push_protection_enabled_for_new_repositories": False,
        "secret_scanning_push_protection_custom_link": None,
        "secret_scanning_push_protection_custom_link_enabled": False,
    }
    return call.server.objects.whole("organization-full", values, {"orgs/github": f"orgs/{found.login}"})


def team_view(call: Call, it: Team) -> Json:
    """Return a team as lists and reviewers show it."""
    api = f"{call.server.objects.api}/organizations/{owner(call, it.owner).id}/team/{it.id}"
    return {
        "id": it.id,
        "node_id": node_id("T", it.id),
        "name": it.slug,
        "slug": it.slug,
        "description": "",
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "pull",
        "type": "organization",
        "url": api,
        "html_url": f"{call.server.objects.web}/orgs/{it.owner}/teams/{it.slug}",
        "members_url": f"{api}/members{{/member}}",
        "repositories_url": f"{api}/repos",
        "parent": None,
        "organization_id": owner(call, it.owner).id,
    }


@route("GET", "/orgs/{org}/teams", "members=read")
def teams(call: Call) -> list[Json]:
    """List an organisation's teams."""
    found = owner(call, call.args["org"])
    return [team_view(call, each) for each in call.server.store.state.teams if each.owner == found.login]


@route("GET", "/orgs/{org}/teams/{team_slug}", "members=read")
def team(call: Call) -> Json:
    """Show a team."""
    found = owner(call, call.args["org"])
    for each in call.server.store.state.teams:
        if (each.owner, each.slug) == (found.login, call.args["team_slug"]):
            counts = {"members_count": 0, "repos_count": 0, "organization": organization(call)}
            times = {"created_at": stamp(each.created_at), "updated_at": stamp(each.updated_at)}
            return {**team_view(call, each), **counts, **times}
    raise not_found()


@route("GET", "/users/{username}")
def user(call: Call) -> Json:
    """Show a user, or an organisation as one."""
    login = call.args["username"]
    state = call.server.store.state
    found = next((each for each in state.owners.values() if each.login.lower() == login.lower()), None)
    known = found or next((each for each in state.users.values() if each.login.lower() == login.lower()), None)
    if not known:
        raise not_found()
    return {**call.server.objects.user(known), **_profile(known.created_at), "user_view_type": "public"}


def _profile(created: datetime.datetime) -> Json:
    empty = ("name", "company", "location", "email", "hireable", "bio", "twitter_username", "notification_email")
    counts = ("public_repos", "public_gists", "followers", "following")
    times = {"created_at": stamp(created), "updated_at": stamp(created)}
    return {"blog": "", **dict.fromkeys(empty), **dict.fromkeys(counts, 0), **times}


@route("GET", "/user")
def myself(call: Call) -> Json:
    """Show the user whose token calls."""
    who = call.caller
    if not who.token or not who.user:
        raise Refusal(401, "Requires authentication")
    if who.token.app_id:
        raise Refusal(403, "Resource not accessible by integration")
    return {**call.server.objects.user(who.user), **_profile(who.user.created_at), "user_view_type": "public"}


@route("GET", "/rate_limit")
def rate_limit(call: Call) -> Json:
    """Show a limit that nobody comes near: the lab counts nothing here."""
    limit = {"limit": 5000, "used": 0, "remaining": 5000, "reset": int(time.time()) + 3600}
    return {"resources": {"core": limit, "search": limit}, "rate": limit}


@route("GET", "/meta")
def meta(call: Call) -> Json:
    """Show the addresses that hooks come from, and the key of the SSH service."""
    keys = [line for line in call.server.host_keys if line]
    return {
        "verifiable_password_authentication": False,
        "ssh_keys": keys,
        "hooks": HOOK_ADDRESSES,
        **dict.fromkeys(
            ("web", "api", "git", "packages", "pages", "importer", "actions", "dependabot"), HOOK_ADDRESSES
        ),
    }


@route("GET", "/app", "app")
def app(call: Call) -> Json:
    """Show the app that calls."""
    found = _app(call)
    return {
        "id": found.id,
        "slug": found.slug,
        "client_id": found.slug,
        "node_id": node_id("A", found.id),
        "owner": call.server.objects.user(owner(call, found.owner)),
        "name": found.name,
        "description": None,
        "external_url": call.server.objects.web,
        "html_url": f"{call.server.objects.web}/apps/{found.slug}",
        "created_at": stamp(found.created_at),
        "updated_at": stamp(found.updated_at),
        "permissions": found.permissions,
        "events": [],
        "installations_count": 1,
    }


def _app(call: Call) -> App:
    assert call.caller.app is not None  # noqa: S101 (the route asks for one)
    return call.caller.app


def _installation(call: Call) -> Json:
    found, objects = _app(call), call.server.objects
    return {
        "id": found.installation_id,
        "account": objects.user(owner(call, found.owner)),
        "repository_selection": "all" if found.repositories is None else "selected",
        "access_tokens_url": f"{objects.api}/app/installations/{found.installation_id}/access_tokens",
        "repositories_url": f"{objects.api}/installation/repositories",
        "html_url": f"{objects.web}/organizations/{found.owner}/settings/installations/{found.installation_id}",
        "app_id": found.id,
        "target_id": owner(call, found.owner).id,
        "target_type": "Organization",
        "permissions": found.permissions,
        "events": [],
        "created_at": stamp(found.created_at),
        "updated_at": stamp(found.updated_at),
        "single_file_name": None,
        "app_slug": found.slug,
        "suspended_by": None,
        "suspended_at": None,
    }


@route("GET", "/app/installations", "app")
def installations(call: Call) -> list[Json]:
    """List the one installation that an app of the lab has."""
    return [_installation(call)]


@route("GET", "/app/installations/{installation_id}", "app")
def installation(call: Call) -> Json:
    """Show an installation."""
    if call.number("installation_id") != _app(call).installation_id:
        raise not_found()
    return _installation(call)


@route("GET", "/orgs/{org}/installation", "app")
def installation_of_organization(call: Call) -> Json:
    """Show where an organisation has the app installed."""
    if owner(call, call.args["org"]).login != _app(call).owner:
        raise not_found()
    return _installation(call)


@route("GET", "/repos/{owner}/{repo}/installation", "app")
def installation_of_repository(call: Call) -> Json:
    """Show the installation that reaches a repository."""
    if call.repository.owner != _app(call).owner:
        raise not_found()
    return _installation(call)


@route("POST", "/app/installations/{installation_id}/access_tokens", "app", status=201)
def access_token(call: Call) -> Answer:
    """Give the app a token of an hour for its installation, with fewer permissions or repositories where it asks so."""
    found = _app(call)
    if call.number("installation_id") != found.installation_id:
        raise not_found()
    permissions = dict(call.body.get("permissions") or found.permissions)
    levels = ("read", "write", "admin")
    for name, level in permissions.items():
        if name not in found.permissions or levels.index(level) > levels.index(found.permissions[name]):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    chosen = call.body.get("repositories", found.repositories)
    value = f"ghs_{secrets.token_urlsafe(27)}"
    expires = now() + datetime.timedelta(hours=1)
    call.server.store.state.tokens[digest(value)] = Token(
        user=f"{found.slug}[bot]",
        owner=found.owner,
        permissions={"metadata": "read", **permissions},
        repositories=chosen,
        expires_at=expires,
        app_id=found.id,
    )
    body = {
        "token": value,
        "expires_at": stamp(expires),
        "permissions": permissions,
        "repository_selection": "all" if chosen is None else "selected",
    }
    return Answer(201, body)
