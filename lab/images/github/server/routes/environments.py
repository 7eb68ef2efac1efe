"""Environments: who must agree, how long to wait, and which branches may deploy."""

from ..answers import Answer, Refusal, Wrapped, not_found
from ..api import Call, route
from ..models import BranchPolicy, Environment, Json, now, stamp
from ..objects import node_id
from ..views import owner_of
from .meta import team_view
from .repositories import new_key

ENVIRONMENTS = "/repos/{owner}/{repo}/environments"
ENVIRONMENT = ENVIRONMENTS + "/{environment_name}"
POLICIES = ENVIRONMENT + "/deployment-branch-policies"
MOST_REVIEWERS = 6


def environment(call: Call) -> Environment:
    """Return the environment that the path names."""
    return call.repository.environments[_name(call)]


def _name(call: Call) -> str:
    """Return its name as it was made, whatever the case in the path."""
    for name in call.repository.environments:
        if name.lower() == call.args["environment_name"].lower():
            return name
    raise not_found()


def _show(call: Call, name: str, it: Environment) -> Json:
    rules: list[Json] = []
    if it.wait_timer:
        rules.append({"type": "wait_timer", "wait_timer": it.wait_timer})
    if it.reviewers:
        rules.append(
            {
                "type": "required_reviewers",
                "prevent_self_review": it.prevent_self_review,
                "reviewers": [_reviewer(call, each) for each in it.reviewers],
            }
        )
    if it.deployment_branch_policy:
        rules.append({"type": "branch_policy"})
    for number, rule in enumerate(rules):
        rule |= {"id": it.id * 10 + number, "node_id": node_id("GA", it.id * 10 + number)}
    path = f"{call.repository.full_name}/environments/{name}"
    page = f"{call.server.objects.web}/{call.repository.full_name}/deployments/activity_log"
    return {
        "id": it.id,
        "node_id": node_id("EN", it.id),
        "name": name,
        "url": f"{call.server.objects.api}/repos/{path}",
        "html_url": f"{page}?environments_filter={name}",
        "created_at": stamp(it.created_at),
        "updated_at": stamp(it.updated_at),
        "can_admins_bypass": it.can_admins_bypass,
        "protection_rules": rules,
        "deployment_branch_policy": it.deployment_branch_policy,
    }


def _reviewer(call: Call, it: Json) -> Json:
    state = call.server.store.state
    if it["type"] == "Team":
        team = next(each for each in state.teams if each.id == it["id"])
        return {"type": "Team", "reviewer": team_view(call, team)}
    user = next(each for each in state.users.values() if each.id == it["id"])
    return {"type": "User", "reviewer": call.server.objects.user(user)}


@route("GET", ENVIRONMENTS, "actions=read")
def list_(call: Call) -> Wrapped:
    """List the environments."""
    return Wrapped("environments", [_show(call, name, each) for name, each in call.repository.environments.items()])


@route("GET", ENVIRONMENT, "actions=read")
def get(call: Call) -> Json:
    """Show an environment."""
    return _show(call, _name(call), environment(call))


@route("PUT", ENVIRONMENT, "administration=write")
def put(call: Call) -> Json:
    """Make an environment, or set it anew: what the body leaves out falls to its default."""
    it, name, body = call.repository, call.args["environment_name"], call.body
    reviewers = body.get("reviewers") or []
    policy = body.get("deployment_branch_policy")
    plan = owner_of(call.server.store, it).plan
    for wanted, rule, plans in (
        (reviewers, "required reviewers", ("enterprise",)),
        (body.get("wait_timer"), "wait timer", ("enterprise",)),
        (policy, "branch policy", ("team", "enterprise")),
    ):
        if wanted and it.private and plan not in plans:
            start = "Failed to create the environment protection rule. Please ensure the billing plan supports the"
            raise Refusal(422, f"{start} {rule} protection rule.")
    if policy and policy["protected_branches"] == policy["custom_branch_policies"]:
        raise Refusal(422, "protected_branches and custom_branch_policies cannot have the same value")
    state = call.server.store.state
    known = {
        "User": {each.id for each in state.users.values()},
        "Team": {each.id for each in state.teams if each.owner == it.owner},
    }
    for each in reviewers:
        if each["id"] not in known[each["type"]]:
            raise Refusal(422, "Validation Failed", errors=[f"{each['type']} with id {each['id']} does not exist"])
    if len(reviewers) > MOST_REVIEWERS:
        raise Refusal(422, f"There can be at most {MOST_REVIEWERS} reviewers")
    name = next((known for known in it.environments if known.lower() == name.lower()), name)
    if name not in it.environments:
        it.environments[name] = Environment(id=call.server.store.new_id(), private_key=new_key())
    made = it.environments[name]
    made.wait_timer = body.get("wait_timer") or 0
    made.prevent_self_review = body.get("prevent_self_review") or False
    made.can_admins_bypass = body.get("can_admins_bypass", True)
    made.reviewers = reviewers
    made.deployment_branch_policy = policy
    if not policy or not policy["custom_branch_policies"]:
        made.policies = []
    made.updated_at = now()
    return _show(call, name, made)


@route("DELETE", ENVIRONMENT, "administration=write")
def delete(call: Call) -> None:
    """Delete an environment with its secrets."""
    del call.repository.environments[_name(call)]


def _policy(it: BranchPolicy) -> Json:
    return {"id": it.id, "node_id": node_id("BP", it.id), "name": it.name, "type": it.type}


def _found(call: Call) -> BranchPolicy:
    number = call.number("branch_policy_id")
    for each in environment(call).policies:
        if each.id == number:
            return each
    raise not_found()


@route("GET", POLICIES, "actions=read")
def policies(call: Call) -> Wrapped:
    """List the patterns of branches and tags that may deploy."""
    return Wrapped("branch_policies", [_policy(each) for each in environment(call).policies])


@route("POST", POLICIES, "administration=write")
def create_policy(call: Call) -> Answer | Json:
    """Add a pattern."""
    it = environment(call)
    if not (it.deployment_branch_policy or {}).get("custom_branch_policies"):
        raise not_found()
    if any(each.name == call.body["name"] for each in it.policies):
        return Answer(303)
    made = BranchPolicy(id=call.server.store.new_id(), name=call.body["name"], type=call.body.get("type") or "branch")
    it.policies.append(made)
    return _policy(made)


@route("GET", POLICIES + "/{branch_policy_id}", "actions=read")
def policy(call: Call) -> Json:
    """Show a pattern."""
    return _policy(_found(call))


@route("PUT", POLICIES + "/{branch_policy_id}", "administration=write")
def update_policy(call: Call) -> Json:
    """Change a pattern."""
    it = _found(call)
    it.name = call.body["name"]
    return _policy(it)


@route("DELETE", POLICIES + "/{branch_policy_id}", "administration=write")
def delete_policy(call: Call) -> None:
    """Remove a pattern."""
    environment(call).policies.remove(_found(call))
