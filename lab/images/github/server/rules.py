"""Rulesets: which of them speak of a ref, who may pass them by, and what they forbid."""

import fnmatch
from urllib.parse import quote

from .git import ZERO
from .models import Json, Repository, Ruleset

ADMIN_ROLE = 5
"""GitHub's id of the repository role `admin`."""

Moved = Json
"""An update as Git's hook tells it: ref, old, new, forced."""


def named(ruleset: Ruleset, it: Repository, ref: str) -> bool:
    """Say whether a ruleset is in force and speaks of a ref."""
    kind = "refs/tags/" if ruleset.target == "tag" else "refs/heads/"
    if ruleset.enforcement != "active" or ruleset.target == "push" or not ref.startswith(kind):
        return False
    names = ruleset.conditions.get("ref_name") or {}
    default = f"refs/heads/{it.settings.default_branch}"

    def matches(patterns: list[str]) -> bool:
        for pattern in patterns:
            pattern = default if pattern == "~DEFAULT_BRANCH" else pattern
            if pattern == "~ALL" or fnmatch.fnmatchcase(ref, pattern):
                return True
        return False

    return matches(names.get("include", [])) and not matches(names.get("exclude", []))


def bypasses(ruleset: Ruleset, actor: Json, *, by_pull: bool = False) -> bool:
    """Say whether this actor may pass the ruleset by; some may in a pull request only."""
    for each in ruleset.bypass_actors:
        if each.get("bypass_mode", "always") == "pull_request" and not by_pull:
            continue
        kind, number = each["actor_type"], each.get("actor_id")
        if kind == "DeployKey" and actor.get("deploy_key"):
            return True
        if kind == "Integration" and number == actor.get("app_id"):
            return True
        admin = actor.get("organization_admin") and not actor.get("deploy_key") and not actor.get("app_id")
        if admin and (kind == "OrganizationAdmin" or (kind == "RepositoryRole" and number == ADMIN_ROLE)):
            return True
    return False


def broken(ruleset: Ruleset, it: Repository, update: Moved) -> list[str]:
    """Return what an update breaks, in GitHub's words."""
    found = []
    created, deleted = update["old"] == ZERO, update["new"] == ZERO
    for rule in ruleset.rules:
        kind, wanted = rule["type"], rule.get("parameters") or {}
        if kind == "deletion" and deleted:
            found.append("Cannot delete this branch")
        elif kind == "creation" and created:
            found.append("Cannot create ref due to creations being restricted.")
        elif kind == "update" and not created and not deleted:
            found.append("Cannot update this protected ref.")
        elif kind == "non_fast_forward" and update["forced"]:
            found.append("Cannot force-push to this branch")
        elif kind == "pull_request" and not deleted and not created:
            found.append("Changes must be made through a pull request.")
        elif (
            kind == "required_status_checks"
            and not deleted
            and not (created and wanted.get("do_not_enforce_on_create"))
        ):
            found += unmet(it, wanted["required_status_checks"], update["new"])
    return found


def unmet(it: Repository, checks: list[Json], sha: str) -> list[str]:
    """Return the sentence for required checks that have not succeeded on a commit."""
    latest = {status.context: status.state for status in it.statuses if status.sha == sha}
    missing = [check["context"] for check in checks if latest.get(check["context"]) != "success"]
    if not missing:
        return []
    if len(checks) == 1:
        return [f'Required status check "{missing[0]}" is expected.']
    return [f"{len(missing)} of {len(checks)} required status checks are expected."]


def verdict(it: Repository, update: Moved, actor: Json) -> tuple[list[str], list[str]]:
    """Return which rules stop an update, and which it may pass by."""
    stopped: list[str] = []
    passed: list[str] = []
    for ruleset in it.rulesets.values():
        if named(ruleset, it, update["ref"]):
            (passed if bypasses(ruleset, actor) else stopped).extend(broken(ruleset, it, update))
    return stopped, passed


def judged(it: Repository, web: str, updates: list[Moved], actor: Json) -> tuple[bool, list[str]]:
    """Say whether a push is refused, and what to print."""
    refused = False
    lines: list[str] = []
    for update in updates:
        ref = update["ref"]
        if update["workflows"] and not actor.get("workflows", True):
            what = f"create or update workflow `{update['workflows'][0]}` without `workflows` permission"
            return True, [
                f"refusing to allow a {'GitHub App' if actor['app_id'] else 'Personal Access Token'} to {what}"
            ]
        stopped, passed = verdict(it, update, actor)
        if stopped:
            refused = True
            lines += [f"error: GH013: Repository rule violations found for {ref}."]
            lines += ["", f"Review all repository rules at {web}/{it.full_name}/rules?ref={quote(ref, safe='')}", ""]
            lines += [line for problem in stopped for line in (f"- {problem}", "")]
        elif passed:
            lines += [f"Bypassed rule violations for {ref}:", ""]
            lines += [line for problem in passed for line in (f"- {problem}", "")]
    return refused, lines
