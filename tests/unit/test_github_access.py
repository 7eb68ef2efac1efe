"""What GitHub is asked before anything is declared, what is made of its refusals, and what is found to adopt."""

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from components.github import access, api
from components.github.parts import Part, Reviewers, key_name
from components.settings import Settings, SettingsError, parse
from tests.unit.program import program
from tests.unit.valid import REPOSITORIES, SECRET_KEYS, app_key, repositories, values

REPOSITORY = "github:index/repository:Repository"
HOOK = "github:index/repositoryWebhook:RepositoryWebhook"
NAMES = [each["name"] for each in REPOSITORIES]
Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


def repository(name: str, **changed: Any) -> dict[str, Any]:
    """A repository as GitHub shows it, as far as it is looked at."""
    return {
        "name": name,
        "full_name": f"centaurin/{name}",
        "html_url": f"https://github.com/centaurin/{name}",
        "archived": False,
        "default_branch": "main",
        "permissions": {"admin": True},
        "allow_squash_merge": True,
    } | changed


def refusal(status: int, message: str, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json={"message": message}, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


class GitHub(httpx.MockTransport):
    """Knows the owner and, unless told otherwise, the four repositories; counts its calls."""

    def __init__(self, answers: Mapping[str, Any] | None = None, there: list[str] = NAMES) -> None:
        self.calls: list[str] = []
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, Any] = {"/users/centaurin": {"id": 1, "login": "centaurin"}}
        self._answers |= {f"/repos/centaurin/{name}": repository(name) for name in there}
        self._answers |= answers or {}
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v3")
        self.calls.append(f"{request.method} {path}")
        self.requests.append(request)
        answer = self._answers.get(path)
        if (
            answer is None
            and path.count("/") > 3
            and path.rpartition("/")[2] in ("hooks", "keys", "environments", "rulesets")
        ):
            answer = []
        if answer is None:
            return refusal(404, "Not Found")
        if callable(answer):
            answer = answer(request)
        # A response object is used once.
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def settings(**changed: Any) -> Settings:
    return parse(values(**changed), {*SECRET_KEYS, "githubAppKey"})


def managed(*names: str) -> dict[Part, dict[str, Any]]:
    return {(REPOSITORY, name): {} for name in names}


@cache
def everything() -> dict[Part, dict[str, Any]]:
    """The state of a stack in which all is there."""
    return {(each.type, each.name): {} for each in program() if each.type.startswith("github:")}


def problems(github: GitHub, stack: Settings | None = None, state: access.State | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        access.compare(stack or settings(), everything() if state is None else state, github)
    said = str(refused.value)
    assert "; nothing was changed.\n" in said
    assert "t" * 40 not in said
    return said


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited between tries."""
    waited: list[float] = []
    monkeypatch.setattr("components.github.api.time.sleep", waited.append)
    return waited


def test_a_stack_without_repositories_asks_nothing() -> None:
    stack = settings(repositories=[], githubToken=None)
    assert access.look(stack) == access.Found()
    assert access.provider(stack) is None


def test_a_stack_whose_repositories_are_there_costs_few_calls() -> None:
    github = GitHub()
    assert access.compare(settings(), everything(), github) == access.Found()
    # The owner, each repository, what the log-in may do, and CI's environments.
    assert len(github.calls) == len(set(github.calls)) == 1 + 4 + 4 + 2
    assert {call.split()[0] for call in github.calls} == {"GET"}


def test_the_calls_grow_by_one_for_each_repository() -> None:
    more = [{"name": f"more-{number}", "visibility": "public"} for number in range(46)]
    names = [*NAMES, *(each["name"] for each in more)]
    github, all_ = GitHub(there=names), [*REPOSITORIES, *more]
    state: dict[Part, dict[str, Any]] = {
        (each.type, each.name): {} for each in program(repositories=all_) if each.type.startswith("github:")
    }
    access.compare(settings(repositories=all_), state, github)
    assert len(github.calls) == 1 + 50 + 4 + 2


def test_the_token_is_sent_as_such_and_to_the_right_server() -> None:
    github = GitHub()
    access.compare(settings(githubUrl="https://github.example.com"), everything(), github)
    assert {request.url.host for request in github.requests} == {"github.example.com"}
    assert all(request.url.path.startswith("/api/v3/") for request in github.requests)
    assert {request.headers["Authorization"] for request in github.requests} == {f"Bearer {'t' * 40}"}


def test_repositories_that_are_not_there_yet_are_fine() -> None:
    assert access.compare(settings(), {}, GitHub(there=[])) == access.Found()


def test_a_token_that_has_expired_is_said_once() -> None:
    said = problems(GitHub({"/users/centaurin": refusal(401, "Bad credentials")}))
    assert "the stack's way to GitHub has 1 problem" in said
    assert "carica-kestra:githubToken is not taken by GitHub: it has expired or was revoked" in said
    assert "cat token | pulumi config set --secret 'carica-kestra:githubToken'" in said


@pytest.mark.parametrize(
    ("part", "permission"),
    [("keys", "administration=read"), ("hooks", "repository_hooks=read"), ("environments", "actions=read")],
)
def test_a_permission_that_lacks_is_named(part: str, permission: str) -> None:
    answer = refusal(403, "Resource not accessible by personal access token", X_Accepted_GitHub_Permissions=permission)
    said = problems(GitHub({f"/repos/centaurin/carica/{part}": answer}))
    assert f"carica-kestra:githubToken lacks the permission {permission}: GET /repos/centaurin/carica/{part}" in said
    assert "give it what docs/github.md lists, at https://github.com/settings/personal-access-tokens" in said


def test_environments_are_asked_for_only_where_ci_needs_them() -> None:
    github = GitHub()
    access.compare(settings(repositories=repositories("carica-kestra", ci=None)), everything(), github)
    assert not any("environments" in call for call in github.calls)


def test_a_repository_that_is_to_be_adopted_and_cannot_be_seen_is_named() -> None:
    stack = settings(repositories=repositories("carica-ml", adopt=True))
    said = problems(GitHub(there=["carica", "carica-deploy", "carica-kestra"]), stack)
    assert "carica-kestra:repositories[1].name is carica-ml, which GitHub does not show (404)" in said
    assert "give the log-in access, at https://github.com/settings/personal-access-tokens" in said


def test_a_repository_of_ours_that_cannot_be_seen_any_more_is_named() -> None:
    said = problems(GitHub(there=["carica", "carica-deploy", "carica-kestra"]))
    assert "carica-kestra:repositories[1].name is carica-ml, which GitHub does not show (404)" in said
    assert "if it is gone: pulumi refresh" in said


def test_a_repository_that_exists_is_not_made_but_adopted() -> None:
    said = problems(GitHub(there=["carica-ml"]), state={})
    assert "carica-kestra:repositories[1].adopt is not set, and centaurin/carica-ml exists already" in said
    assert "pulumi config set --path 'carica-kestra:repositories[1].adopt' true" in said


def test_a_repository_that_is_archived_is_named() -> None:
    said = problems(GitHub({"/repos/centaurin/carica-ml": repository("carica-ml", archived=True)}))
    assert "repositories[1].name is carica-ml, which is archived" in said
    assert "unarchive it at https://github.com/centaurin/carica-ml/settings" in said


def test_a_repository_that_was_renamed_by_hand_is_named_with_its_new_name() -> None:
    said = problems(GitHub({"/repos/centaurin/carica-ml": repository("models")}))
    assert "is carica-ml, which was renamed on GitHub to models" in said
    assert "set name to models and formerly to carica-ml" in said


def test_github_leads_from_the_old_name_to_the_new_one() -> None:
    moved = httpx.Response(301, headers={"Location": "https://api.github.com/repositories/7"})
    said = problems(GitHub({"/repos/centaurin/carica-ml": moved, "/repositories/7": repository("models")}))
    assert "is carica-ml, which was renamed on GitHub to models" in said


def test_a_rename_that_is_declared_finds_the_repository_by_its_former_name() -> None:
    stack = settings(repositories=repositories("carica-ml", name="models", formerly="carica-ml"))
    assert access.compare(stack, everything(), GitHub()) == access.Found()
    # Once it is done, the same settings stay right.
    done: dict[Part, dict[str, Any]] = {(kind, name.replace("carica-ml", "models")): {} for kind, name in everything()}
    assert access.compare(stack, done, GitHub(there=["models", *NAMES])) == access.Found()


def test_a_token_of_somebody_who_does_not_administer_is_refused() -> None:
    said = problems(GitHub({"/repos/centaurin/carica": repository("carica", permissions={"admin": False})}))
    assert "carica-kestra:githubToken may not administer every repository" in said


def test_a_token_that_is_not_shown_how_pull_requests_are_merged_is_refused() -> None:
    """GitHub leaves that out, and the plugin takes it for `no`: a difference that never ends."""
    blind = repository("carica")
    del blind["allow_squash_merge"]
    said = problems(GitHub({"/repos/centaurin/carica": blind}))
    assert "carica-kestra:githubToken lacks the permission contents=write" in said


def test_an_owner_that_github_does_not_know_is_named() -> None:
    said = problems(GitHub({"/users/centaurin": refusal(404, "Not Found")}))
    assert "carica-kestra:githubOwner is centaurin, whom https://github.com does not know" in said


def test_all_problems_are_said_at_once() -> None:
    stack = settings(repositories=repositories("carica-kestra", ci={"reviewers": ["nobody", "centaurin/none"]}))
    said = problems(GitHub(there=["carica", "carica-deploy"]), stack)
    assert "has 4 problems" in said
    for path in ("repositories[1].name", "repositories[3].name", "repositories[3].ci.reviewers[0]"):
        assert f"carica-kestra:{path} " in said


def test_a_used_up_rate_limit_is_said_with_the_time_it_ends(no_waiting: list[float]) -> None:
    reset = datetime.datetime(2026, 11, 24, 20, 15, 30, tzinfo=datetime.UTC)
    answer = refusal(
        403, "API rate limit exceeded", X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(reset.timestamp()))
    )
    said = problems(GitHub({"/users/centaurin": answer}))
    assert "carica-kestra:githubToken has used up its calls: API rate limit exceeded" in said
    assert "wait until 20:15:30 UTC, then: pulumi up" in said
    assert no_waiting == []


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_rate_limit_is_said_with_the_seconds(status: int) -> None:
    said = problems(
        GitHub({"/users/centaurin": refusal(status, "You have exceeded a secondary limit", Retry_After="60")})
    )
    assert "wait 60 s, then: pulumi up" in said


def test_single_sign_on_is_said_with_its_address() -> None:
    answer = refusal(
        403, "Resource protected by organization SAML enforcement", X_GitHub_SSO="required; url=https://x/sso"
    )
    said = problems(GitHub({"/repos/centaurin/carica": answer}))
    assert "carica-kestra:githubToken is not authorised for centaurin" in said
    assert "open https://x/sso" in said


def test_trouble_on_the_other_side_is_tried_again_and_then_said(no_waiting: list[float]) -> None:
    github = GitHub({"/users/centaurin": lambda _: refusal(503, "Service Unavailable")})
    said = problems(github)
    assert "carica-kestra:githubUrl leads to a GitHub in trouble: GET /users/centaurin answers 503, 3 times" in said
    assert "try again later: pulumi up" in said
    assert len(github.calls) == 3
    assert len(no_waiting) == 2


def test_trouble_that_ends_is_not_worth_a_word() -> None:
    answers = iter([refusal(502, "Bad Gateway"), httpx.Response(200, json={})])
    github = GitHub({"/users/centaurin": lambda _: next(answers)})
    assert access.compare(settings(), everything(), github) == access.Found()


def test_a_server_that_cannot_be_reached_is_named() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    said = problems(GitHub({"/users/centaurin": gone}), settings(githubUrl="http://127.0.0.1:1"))
    assert (
        "carica-kestra:githubUrl leads to no GitHub: http://127.0.0.1:1/api/v3 does not answer (Connection ref" in said
    )


def test_every_call_has_a_time_limit() -> None:
    github = GitHub()
    access.compare(settings(), everything(), github)
    assert all(set(request.extensions["timeout"].values()) == {api.SECONDS} for request in github.requests)


def test_a_classic_token_says_its_scopes() -> None:
    classic = settings(githubToken=f"ghp_{'t' * 36}")
    said = problems(
        GitHub({"/users/centaurin": httpx.Response(200, json={}, headers={"X-OAuth-Scopes": "gist"})}), classic
    )
    assert "carica-kestra:githubToken is a classic token without the scope `repo`" in said


def test_a_token_that_expires_soon_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    for days, count in ((30, 0), (3, 1)):
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        header = {"GitHub-Authentication-Token-Expiration": f"{end:%Y-%m-%d %H:%M:%S} UTC"}
        owner = httpx.Response(200, json={}, headers=header)
        access.compare(settings(), everything(), GitHub({"/users/centaurin": owner}))
        assert len(warned) == count
    assert "githubToken expires in 2 days" in warned[0]


# --- a GitHub App ----------------------------------------------------------------------------------------------------

APP = {"githubToken": None, "githubApp": {"id": "Iv1", "installationId": "4711"}, "githubAppKey": app_key()}
INSTALLATION = "/app/installations/4711/access_tokens"
GRANTED = {
    "administration": "write",
    "contents": "write",
    "repository_hooks": "write",
    "actions": "read",
    "environments": "write",
}


def test_an_app_logs_in_with_a_token_for_its_installation() -> None:
    github = GitHub({INSTALLATION: httpx.Response(201, json={"token": "ghs_installation", "permissions": GRANTED})})
    assert access.compare(settings(**APP), everything(), github) == access.Found()
    assert github.calls[0] == f"POST {INSTALLATION}"
    assert {request.headers["Authorization"] for request in github.requests[1:]} == {"Bearer ghs_installation"}
    assert len(github.calls) == 1 + 1 + 4 + 2  # its permissions need no further calls


def test_an_apps_token_is_signed_with_its_key() -> None:
    stack = settings(**APP)
    assert stack.github_app
    head, body, signature = api.app_token(stack.github_app, app_key()).split(".")
    key = serialization.load_pem_private_key(app_key().encode(), None)
    assert isinstance(key, RSAPrivateKey)
    key.public_key().verify(_bytes(signature), f"{head}.{body}".encode(), PKCS1v15(), hashes.SHA256())
    claims = json.loads(_bytes(body))
    assert json.loads(_bytes(head)) == {"alg": "RS256", "typ": "JWT"}
    assert claims["iss"] == "Iv1"
    assert claims["exp"] - claims["iat"] <= 600  # GitHub takes no longer ones


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_permissions_that_an_app_lacks_are_all_named() -> None:
    granted = GRANTED | {"administration": "read"}
    del granted["environments"]
    github = GitHub({INSTALLATION: httpx.Response(201, json={"token": "ghs_x", "permissions": granted})})
    said = problems(github, settings(**APP))
    assert "carica-kestra:githubApp lacks the permissions administration: write, environments: write" in said
    assert "https://github.com/organizations/centaurin/settings/apps" in said


def test_an_app_that_is_not_installed_or_has_another_key_is_named() -> None:
    said = problems(GitHub({INSTALLATION: refusal(404, "Not Found")}), settings(**APP))
    assert "carica-kestra:githubApp.installationId is no installation of the App" in said
    undecodable = refusal(401, "A JSON web token could not be decoded")
    said = problems(GitHub({INSTALLATION: undecodable}), settings(**APP))
    assert "carica-kestra:githubAppKey is not taken by GitHub" in said
    assert "PRIVATE" not in said


# --- what is there to adopt -------------------------------------------------------------------------------------------

URL = "https://localhost:8443/api/v1/main/executions/webhook/prod"


def adopting(name: str, **changed: Any) -> Settings:
    return settings(repositories=repositories(name, adopt=True, **changed))


def test_what_every_repository_has_is_taken_over() -> None:
    found = access.compare(adopting("carica-ml"), {}, GitHub(there=["carica-ml"])).existing
    assert found == {
        (REPOSITORY, "carica-ml"): "carica-ml",
        ("github:index/branchDefault:BranchDefault", "carica-ml-default-branch"): "carica-ml",
        ("github:index/repositoryVulnerabilityAlerts:RepositoryVulnerabilityAlerts", "carica-ml-alerts"): "carica-ml",
        ("github:index/actionsRepositoryPermissions:ActionsRepositoryPermissions", "carica-ml-actions"): "carica-ml",
        (
            "github:index/workflowRepositoryPermissions:WorkflowRepositoryPermissions",
            "carica-ml-workflows",
        ): "carica-ml",
    }


def hooks(*urls: str) -> dict[str, Any]:
    return {
        "/repos/centaurin/carica-ml/hooks": [
            {"id": number, "config": {"url": url, "secret": "********"}} for number, url in enumerate(urls, start=7)
        ]
    }


@pytest.mark.parametrize(
    ("urls", "number"),
    [
        ([f"{URL}/gh_workflow_completed/old-key"], 7),
        (["https://ci.example.com/hook", f"{URL}/gh_workflow_completed/old-key"], 8),
        (["http://old.example.com/api/v1/executions/webhook/prod/gh_workflow_completed/k"], 7),
        (
            [
                "http://old.example.com/api/v1/executions/webhook/prod/gh_workflow_completed/k",
                f"{URL}/gh_workflow_completed/k",
            ],
            8,
        ),
        ([f"{URL}/gh_push_deployment/k", "https://ci.example.com/gh_workflow_completed"], None),
        ([], None),
    ],
)
def test_the_hook_that_starts_the_same_flow_is_taken_over(urls: list[str], number: int | None) -> None:
    found = access.compare(adopting("carica-ml"), {}, GitHub(hooks(*urls), there=["carica-ml"])).existing
    assert found.get((HOOK, "carica-ml-gh_workflow_completed")) == (f"carica-ml/{number}" if number else None)


def test_a_second_hook_for_the_same_flow_is_warned_of_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    both = hooks(
        "https://old.example.com/executions/webhook/prod/gh_workflow_completed/the-key",
        f"{URL}/gh_workflow_completed/k",
    )
    access.compare(adopting("carica-ml"), {}, GitHub(both, there=["carica-ml"]))
    assert warned == [
        "another hook starts gh_workflow_completed as well, and is left alone: 7, which calls old.example.com"
    ]


def test_the_ruleset_of_our_name_is_taken_over() -> None:
    answers = {"/repos/centaurin/carica-ml/rulesets": [{"id": 5, "name": "tags"}, {"id": 6, "name": "default branch"}]}
    found = access.compare(adopting("carica-ml"), {}, GitHub(answers, there=["carica-ml"])).existing
    assert found["github:index/repositoryRuleset:RepositoryRuleset", "carica-ml-ruleset"] == "carica-ml:6"


def test_the_deploy_key_with_our_key_is_taken_over_unless_it_may_write() -> None:
    stack = adopting("carica-deploy")
    ours = stack.deploy_key_of(stack.repositories[2])
    assert ours
    keys = [
        {"id": 3, "key": "ssh-ed25519 AAAA", "read_only": False},
        {"id": 4, "key": f"{ours} me@home", "read_only": True},
    ]
    answers = {"/repos/centaurin/carica-deploy/keys": keys}
    found = access.compare(stack, {}, GitHub(answers, there=["carica-deploy"])).existing
    assert (
        found["github:index/repositoryDeployKey:RepositoryDeployKey", f"carica-deploy-deploy-key-{key_name(ours)}"]
        == "carica-deploy:4"
    )
    keys[1]["read_only"] = False
    said = problems(GitHub(answers, there=["carica-deploy"]), stack, {})
    assert "carica-kestra:deployGitKey belongs to a deploy key of carica-deploy that may write" in said
    assert "gh api -X DELETE repos/centaurin/carica-deploy/keys/4" in said


def test_environments_their_branch_and_variables_are_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    at = "/repos/centaurin/carica-kestra/environments"
    answers = {
        f"{at}/prod": {"id": 1, "protection_rules": []},
        f"{at}/prod/deployment-branch-policies": {
            "total_count": 2,
            "branch_policies": [{"id": 11, "name": "release/*"}, {"id": 12, "name": "main"}],
        },
        f"{at}/prod/variables": {"total_count": 1, "variables": [{"name": "PULUMI_STACK"}]},
    }
    found = access.compare(adopting("carica-kestra"), {}, GitHub(answers, there=["carica-kestra"])).existing
    environments = {name: id_ for (_, name), id_ in found.items() if "-prod" in name or "-preview" in name}
    assert environments == {
        "carica-kestra-prod": "carica-kestra:prod",
        "carica-kestra-prod-branch": "carica-kestra:prod:12",
        "carica-kestra-prod-PULUMI_STACK": "carica-kestra:prod:PULUMI_STACK",
    }
    assert "prod of carica-kestra was changed by hand: release/* may deploy as well" in warned[0]


def test_what_is_in_the_state_already_is_not_imported_again_and_not_asked_for() -> None:
    """With an id of another form Pulumi would take it for another resource, and delete the first one."""
    stack = adopting("carica-ml")
    github = GitHub(hooks(f"{URL}/gh_workflow_completed/k"))
    found = access.compare(stack, everything(), github)
    assert found.existing == {}
    assert len(github.calls) == 1 + 4 + 4 + 2


ENVIRONMENT = ("github:index/repositoryEnvironment:RepositoryEnvironment", "carica-kestra-prod")
BRANCH = (
    "github:index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy",
    "carica-kestra-prod-branch",
)
VARIABLE = ("github:index/actionsEnvironmentVariable:ActionsEnvironmentVariable", "carica-kestra-prod-PULUMI_STACK")
PROD = "/repos/centaurin/carica-kestra/environments/prod"


@pytest.mark.parametrize("missing", [ENVIRONMENT, BRANCH, VARIABLE])
def test_each_part_of_an_environment_that_an_adoption_did_not_reach_is_taken_over_by_the_next(missing: Part) -> None:
    stack = adopting("carica-kestra", ci={"preview": False})
    answers = {
        PROD: {"id": 1, "protection_rules": []},
        f"{PROD}/deployment-branch-policies": {"total_count": 1, "branch_policies": [{"id": 12, "name": "main"}]},
        f"{PROD}/variables": {"total_count": 1, "variables": [{"name": "PULUMI_STACK"}]},
    }
    complete = access.compare(stack, {}, GitHub(answers, there=["carica-kestra"])).existing
    assert missing in complete
    state: dict[Part, dict[str, Any]] = {part: {} for part in everything() if part != missing}
    assert set(access.compare(stack, state, GitHub(answers)).existing) == {missing}
    github = GitHub(answers)
    assert access.compare(stack, everything(), github).existing == {}
    assert f"GET {PROD}/variables" not in github.calls


def test_what_the_state_has_under_a_former_name_is_not_taken_over_again() -> None:
    renamed = settings(repositories=repositories("carica-ml", name="models", formerly="carica-ml", adopt=True))
    assert access.compare(renamed, everything(), GitHub(hooks(f"{URL}/gh_workflow_completed/k"))).existing == {}


def test_what_an_up_that_broke_off_has_made_is_taken_over_by_the_next() -> None:
    kind = ("github:index/repositoryRuleset:RepositoryRuleset", "carica-ml-ruleset")
    state: dict[Part, dict[str, Any]] = {part: {} for part in everything() if part != kind}
    answers = {"/repos/centaurin/carica-ml/rulesets": [{"id": 6, "name": "default branch"}]}
    assert access.compare(settings(), state, GitHub(answers)).existing == {kind: "carica-ml:6"}


def test_a_former_name_that_nothing_bears_is_named() -> None:
    stack = settings(repositories=repositories("carica-ml", name="models", formerly="carica-lm"))
    others = ["carica", "carica-deploy", "carica-kestra"]
    said = problems(GitHub(there=others), stack, {k: {} for k in everything() if "carica-ml" not in k[1]})
    assert "repositories[1].formerly is carica-lm, and there is no such repository, nor models" in said


# --- what somebody changed by hand, and a refresh does not notice -----------------------------------------------------


def changed_by_hand(monkeypatch: pytest.MonkeyPatch, state: access.State, answers: dict[str, Any]) -> list[str]:
    """What is warned of, where GitHub's environment `prod` is as `answers` say."""
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    there = {PROD: {"id": 1, "protection_rules": []}, f"{PROD}/deployment-branch-policies": {"branch_policies": []}}
    there[f"{PROD}/secrets"] = {"secrets": []}
    access.compare(settings(), everything() | dict(state), GitHub(there | answers))
    return warned


def test_reviewers_that_somebody_took_away_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {"id": 7}}]}
    state: dict[Part, dict[str, Any]] = {ENVIRONMENT: {"reviewers": [{"users": [7.0], "teams": []}]}}
    assert changed_by_hand(monkeypatch, state, {PROD: {"id": 1, "protection_rules": [rule]}}) == []
    (warned,) = changed_by_hand(monkeypatch, state, {})
    assert "who approves deployments to prod of carica-kestra was changed by hand; put it back at https://" in warned
    (warned,) = changed_by_hand(monkeypatch, {ENVIRONMENT: {}}, {PROD: {"id": 1, "protection_rules": [rule]}})
    assert "was changed by hand" in warned


def test_a_secret_that_somebody_overwrote_is_warned_of_with_what_sets_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ("github:index/actionsEnvironmentSecret:ActionsEnvironmentSecret", "carica-kestra-prod-PASSPHRASE")
    state: dict[Part, dict[str, Any]] = {secret: {"updatedAt": "2026-11-25 00:00:00 +0000 UTC"}}
    there = [{"name": "PASSPHRASE", "updated_at": "2026-11-25T00:00:00Z"}, {"name": "OTHER", "updated_at": "x"}]
    assert changed_by_hand(monkeypatch, state, {f"{PROD}/secrets": {"secrets": there}}) == []
    there[0]["updated_at"] = "2026-11-25T00:00:01Z"
    (warned,) = changed_by_hand(monkeypatch, state, {f"{PROD}/secrets": {"secrets": there}})
    assert "the secret PASSPHRASE of prod of carica-kestra was changed by hand" in warned
    assert "pulumi up --replace '**::carica-kestra-prod-PASSPHRASE'" in warned


# --- what else would fail half way -----------------------------------------------------------------------------------


def test_a_repository_that_was_handed_over_is_named_with_its_new_owner() -> None:
    said = problems(GitHub({"/repos/centaurin/carica": repository("carica", full_name="stranger/carica")}))
    assert "repositories[0].name is carica, which was handed over and is stranger/carica now" in said


def test_an_adopted_repository_without_the_default_branch_is_named() -> None:
    there = repository("carica-ml", default_branch="master")
    said = problems(GitHub({"/repos/centaurin/carica-ml": there}, there=["carica-ml"]), adopting("carica-ml"), {})
    assert (
        "repositories[1].defaultBranch is main, which centaurin/carica-ml has not: its default branch is master" in said
    )
    answers = {"/repos/centaurin/carica-ml": there, "/repos/centaurin/carica-ml/branches/main": {"name": "main"}}
    assert access.compare(adopting("carica-ml"), {}, GitHub(answers, there=["carica-ml"])).existing


def test_a_deploy_key_that_another_repository_of_ours_has_is_named() -> None:
    stack = settings()
    key = stack.deploy_key_of(stack.repositories[2])
    assert key
    kind = "github:index/repositoryDeployKey:RepositoryDeployKey"
    assert access.compare(stack, everything() | {(kind, f"carica-deploy-deploy-key-{key_name(key)}"): {}}, GitHub())
    said = problems(GitHub(), stack, everything() | {(kind, f"servers-deploy-key-{key_name(key)}"): {}})
    assert "deployGitKey lets in to servers, and now carica-deploy is deployed: it takes a new key" in said


@pytest.mark.parametrize("part", ["keys", "hooks"])
def test_what_is_not_shown_to_the_log_in_is_a_permission_that_lacks(part: str) -> None:
    said = problems(GitHub({f"/repos/centaurin/carica/{part}": refusal(404, "Not Found")}))
    assert f"GitHub does not show /{part} of carica (404)" in said


def test_permissions_that_a_token_lacks_are_all_named() -> None:
    lacking = {
        f"/repos/centaurin/carica/{part}": refusal(403, "no", X_Accepted_GitHub_Permissions=f"{part}=read")
        for part in ("keys", "hooks", "environments/prod/secrets")
    }
    said = problems(GitHub(lacking))
    assert "has 3 problems" in said


@pytest.mark.parametrize("status", [403, 429])
def test_a_rate_limit_without_a_header_is_told_by_its_words(status: int) -> None:
    said = problems(GitHub({"/users/centaurin": refusal(status, "You have exceeded a secondary rate limit")}))
    assert "githubToken has used up its calls" in said
    assert "wait a minute, then: pulumi up" in said


def test_a_reviewer_that_is_an_organisation_is_no_user() -> None:
    stack = settings(repositories=repositories("carica-kestra", ci={"reviewers": ["acme"]}))
    said = problems(GitHub({"/users/acme": {"id": 5, "type": "Organization"}}), stack)
    assert "reviewers[0] is acme, and GitHub knows no such user" in said


def test_an_end_of_the_token_in_unknown_words_is_no_reason_to_stop() -> None:
    answer = httpx.Response(200, json={}, headers={"GitHub-Authentication-Token-Expiration": "soon"})
    assert access.compare(settings(), everything(), GitHub({"/users/centaurin": answer})) == access.Found()


def test_a_hook_of_another_desk_is_taken_over_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    there = hooks("https://old.example.com/api/v1/main/executions/webhook/prod/gh_workflow_completed/the-key")
    access.compare(adopting("carica-ml"), {}, GitHub(there, there=["carica-ml"]))
    said = "the hook 7 starts gh_workflow_completed at old.example.com, and will be taken over to call localhost"
    assert warned == [said]


def test_reviewers_are_looked_up_by_name() -> None:
    answers = {"/users/octocat": {"id": 583231, "type": "User"}, "/orgs/centaurin/teams/ops": {"id": 42}}
    stack = settings(repositories=repositories("carica-kestra", ci={"reviewers": ["octocat", "centaurin/ops"]}))
    assert access.compare(stack, everything(), GitHub(answers)).reviewers == Reviewers(users=(583231,), teams=(42,))


def test_long_lists_are_read_to_their_end() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page") == "2":
            return httpx.Response(200, json=hooks(f"{URL}/gh_workflow_completed/k")["/repos/centaurin/carica-ml/hooks"])
        following = f"{request.url.copy_set_param('page', '2')}"
        return httpx.Response(200, json=[], headers={"Link": f'<{following}>; rel="next"'})

    github = GitHub({"/repos/centaurin/carica-ml/hooks": page}, there=["carica-ml"])
    found = access.compare(adopting("carica-ml"), {}, github).existing
    assert found[HOOK, "carica-ml-gh_workflow_completed"] == "carica-ml/7"
