"""What the lab's GitHub remembers."""

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


def now() -> datetime.datetime:
    """Return the time, in whole seconds as GitHub shows it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def stamp(time: datetime.datetime | None) -> str | None:
    """Return a time as GitHub writes it."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


class Model(BaseModel):
    """A part of the state; what it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Timed(Model):
    """Something with an id that GitHub dates."""

    id: int
    created_at: datetime.datetime = Field(default_factory=now)
    updated_at: datetime.datetime = Field(default_factory=now)


class Owner(Timed):
    """An organisation. Its plan decides what its private repositories may use."""

    login: str
    plan: str = "free"
    secret_protection: bool = False


class Team(Timed):
    """A team of an organisation: a name to ask for reviews."""

    owner: str
    slug: str


class User(Timed):
    """A person, or the bot of an app."""

    login: str
    type: str = "User"
    organization_admin: bool = False


class Token(Model):
    """A fine-grained personal access token, or one that an installed app was given; kept under its digest."""

    user: str
    owner: str
    permissions: dict[str, str]
    repositories: list[str] | None = None
    expires_at: datetime.datetime | None = None
    app_id: int | None = None


class App(Timed):
    """A GitHub App that is installed once, in one organisation."""

    slug: str
    name: str
    owner: str
    public_key: str
    permissions: dict[str, str]
    installation_id: int
    repositories: list[str] | None = None


class Hook(Timed):
    """A webhook of a repository, its secret included."""

    active: bool = True
    events: list[str]
    url: str
    content_type: str = "form"
    insecure_ssl: str = "0"
    secret: str | None = None
    last_response: Json = Field(default_factory=lambda: {"code": None, "status": "unused", "message": None})


class Delivery(Model):
    """One line of a hook's log; what was sent and answered lies in a file of its own."""

    id: int
    hook_id: int
    guid: str
    delivered_at: datetime.datetime
    redelivery: bool
    duration: float
    status: str
    status_code: int
    event: str
    action: str | None
    url: str


class Ruleset(Timed):
    """Rules for the branches or tags that its conditions name."""

    name: str
    target: str = "branch"
    enforcement: str
    bypass_actors: list[Json] = Field(default_factory=list)
    conditions: Json = Field(default_factory=dict)
    rules: list[Json] = Field(default_factory=list)


class DeployKey(Timed):
    """An SSH key that opens one repository."""

    title: str
    key: str
    read_only: bool
    added_by: str
    last_used: datetime.datetime | None = None


class Secret(Model):
    """An Actions secret as it was sent: sealed for the key of its repository."""

    created_at: datetime.datetime = Field(default_factory=now)
    updated_at: datetime.datetime = Field(default_factory=now)
    encrypted_value: str


class Variable(Model):
    """An Actions variable."""

    created_at: datetime.datetime = Field(default_factory=now)
    updated_at: datetime.datetime = Field(default_factory=now)
    value: str


class BranchPolicy(Model):
    """A pattern of branches or tags that may deploy to an environment."""

    id: int
    name: str
    type: str = "branch"


class Environment(Timed):
    """An environment with what protects it, and its secrets and variables."""

    wait_timer: int = 0
    prevent_self_review: bool = False
    reviewers: list[Json] = Field(default_factory=list)
    can_admins_bypass: bool = True
    deployment_branch_policy: dict[str, bool] | None = None
    policies: list[BranchPolicy] = Field(default_factory=list)
    secrets: dict[str, Secret] = Field(default_factory=dict)
    variables: dict[str, Variable] = Field(default_factory=dict)
    private_key: str


class ActionsPermissions(Model):
    """What GitHub Actions may do in a repository, with GitHub's defaults."""

    enabled: bool = True
    allowed_actions: str = "all"
    sha_pinning_required: bool = False
    github_owned_allowed: bool = True
    verified_allowed: bool = False
    patterns_allowed: list[str] = Field(default_factory=list)
    default_workflow_permissions: str = "read"
    can_approve_pull_request_reviews: bool = False
    access_level: str = "none"


class Comment(Timed):
    """A comment on an issue or a pull request."""

    user: str
    body: str


class Pull(Model):
    """What a pull request has over an issue."""

    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: datetime.datetime | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None
    maintainer_can_modify: bool = False


class Issue(Timed):
    """An issue; a pull request is one too, as for GitHub."""

    number: int
    title: str
    body: str | None
    user: str
    state: str = "open"
    state_reason: str | None = None
    closed_at: datetime.datetime | None = None
    closed_by: str | None = None
    labels: list[str] = Field(default_factory=list)
    assignees: list[str] = Field(default_factory=list)
    comments: list[Comment] = Field(default_factory=list)
    pull: Pull | None = None


class Label(Model):
    """A label for issues."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


class Status(Timed):
    """A commit status."""

    sha: str
    context: str
    state: str
    description: str | None
    target_url: str | None
    creator: str


class DeploymentStatus(Timed):
    """A status of a deployment."""

    state: str
    creator: str
    description: str = ""
    environment: str
    environment_url: str = ""
    log_url: str = ""


class Deployment(Timed):
    """A deployment that somebody announced."""

    sha: str
    ref: str
    task: str
    payload: Any
    original_environment: str
    environment: str
    description: str | None
    creator: str
    transient_environment: bool
    production_environment: bool
    statuses: list[DeploymentStatus] = Field(default_factory=list)


class Settings(Model):
    """What a repository's settings page holds, with GitHub's defaults for a new one."""

    description: str | None = None
    homepage: str | None = None
    visibility: str = "public"
    default_branch: str = "main"
    archived: bool = False
    is_template: bool = False
    has_issues: bool = True
    has_projects: bool = True
    has_wiki: bool = True
    has_downloads: bool = True
    has_discussions: bool = False
    has_pull_requests: bool = True
    pull_request_creation_policy: str = "all"
    allow_forking: bool = True
    allow_squash_merge: bool = True
    allow_merge_commit: bool = True
    allow_rebase_merge: bool = True
    allow_auto_merge: bool = False
    allow_update_branch: bool = False
    delete_branch_on_merge: bool = False
    use_squash_pr_title_as_default: bool = False
    squash_merge_commit_title: str = "COMMIT_OR_PR_TITLE"
    squash_merge_commit_message: str = "COMMIT_MESSAGES"
    merge_commit_title: str = "MERGE_MESSAGE"
    merge_commit_message: str = "PR_TITLE"
    web_commit_signoff_required: bool = False


class Repository(Timed):
    """A repository with all that hangs on it; its commits are a bare repository on disk, named by `id`."""

    owner: str
    name: str
    former_names: list[str] = Field(default_factory=list)
    pushed_at: datetime.datetime = Field(default_factory=now)
    settings: Settings = Field(default_factory=Settings)
    topics: list[str] = Field(default_factory=list)
    security: dict[str, str] = Field(default_factory=dict)
    vulnerability_alerts: bool = False
    automated_security_fixes: bool = False
    hooks: dict[int, Hook] = Field(default_factory=dict)
    deliveries: list[Delivery] = Field(default_factory=list)
    rulesets: dict[int, Ruleset] = Field(default_factory=dict)
    keys: dict[int, DeployKey] = Field(default_factory=dict)
    secrets: dict[str, Secret] = Field(default_factory=dict)
    variables: dict[str, Variable] = Field(default_factory=dict)
    environments: dict[str, Environment] = Field(default_factory=dict)
    actions: ActionsPermissions = Field(default_factory=ActionsPermissions)
    issues: dict[int, Issue] = Field(default_factory=dict)
    labels: dict[str, Label] = Field(default_factory=dict)
    statuses: list[Status] = Field(default_factory=list)
    deployments: dict[int, Deployment] = Field(default_factory=dict)
    private_key: str

    @property
    def full_name(self) -> str:
        """Owner and name, as a path."""
        return f"{self.owner}/{self.name}"

    @property
    def private(self) -> bool:
        """Whether the world does not see it."""
        return self.settings.visibility != "public"


class State(Model):
    """All of it."""

    next_id: int = 1001
    owners: dict[str, Owner] = Field(default_factory=dict)
    users: dict[str, User] = Field(default_factory=dict)
    teams: list[Team] = Field(default_factory=list)
    tokens: dict[str, Token] = Field(default_factory=dict)
    apps: dict[int, App] = Field(default_factory=dict)
    repositories: dict[int, Repository] = Field(default_factory=dict)
    violations: list[Json] = Field(default_factory=list)
