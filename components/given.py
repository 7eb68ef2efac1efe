"""What each part of the desk is given: out of the stack's settings, and from the parts it is made on."""

from collections.abc import Mapping, Sequence

import pulumi

from components.deploy_host import DeployHostArgs
from components.github.access import Found
from components.haproxy import HAProxy, HAProxyArgs
from components.kestra import Kestra, KestraArgs
from components.postgres import DatabaseArgs, Postgres, PostgresArgs
from components.repository import CiArgs, RepositoryArgs
from components.settings import GitHubRepository, Server, Settings, secret


def to_postgres(settings: Settings) -> PostgresArgs:
    """Return what the database server is given."""
    return PostgresArgs(
        runtime=settings.runtime("postgres"),
        password=secret(settings.postgres_password),
        databases=[DatabaseArgs(name=each.name, password=secret(each.password)) for each in settings.databases],
        protect=settings.protect_data,
    )


def to_kestra(settings: Settings, postgres: Postgres) -> KestraArgs:
    """Return what the workflow engine is given."""
    return KestraArgs(
        runtime=settings.runtime("kestra"),
        url=settings.url,
        user=settings.kestra_user,
        password=secret(settings.kestra_password),
        encryption_key=secret(settings.encryption_key),
        termination_grace=settings.termination_grace,
        postgres=postgres,
        database_password=secret(settings.kestra_database.password),
        more_networks=settings.networks,
        variables=settings.flow_variables,
        secrets={
            name: secret(value)
            for name, value in {
                "GITHUB_TOKEN": settings.kestra_git_token,
                "GITHUB_STATUS_TOKEN": settings.kestra_status_token,
                "NOTIFY_URL": settings.notify_url,
            }.items()
            if value
        },
        ssh_key=secret(settings.kestra_ssh_key),
        known_hosts=settings.known_hosts,
        protect=settings.protect_data,
    )


def to_haproxy(
    settings: Settings, kestra: Kestra, github_addresses: pulumi.Output[Sequence[str]] | None
) -> HAProxyArgs:
    """Return what the edge is given."""
    return HAProxyArgs(
        runtime=settings.runtime("haproxy"),
        url=settings.url,
        bind_address=str(settings.bind_address),
        ports=(settings.http_port, settings.https_port),
        certificate=secret(settings.certificate),
        acme=settings.acme,
        webhook_key=secret(settings.webhook_key),
        webhook_secret=secret(settings.webhook_secret),
        kestra=kestra,
        source_limit=settings.source_limit,
        github_addresses=github_addresses,
        metrics=settings.edge_metrics,
        stats_port=settings.stats_port,
        stats_password=secret(settings.stats_password) if settings.stats_password else None,
    )


def to_repository(
    settings: Settings, repository: GitHubRepository, found: Found, edge: HAProxy, flows: Sequence[pulumi.Resource]
) -> RepositoryArgs:
    """Return what a repository is given."""
    return RepositoryArgs(
        settings=repository,
        branch=settings.branch_of(repository),
        hook_urls=secret(settings.webhook_key).apply(settings.webhook_urls),
        hook_secret=secret(settings.webhook_secret),
        hooks_after=[*edge.ready, *flows],
        deploy_key=settings.deploy_key_of(repository),
        ci=CiArgs(
            reviewers=found.reviewers,
            # Elsewhere GitHub drops it, and the difference would stay for ever.
            admins_bypass=False if settings.has(repository, "reviewers") else None,
            secrets={name: secret(value) for name, value in settings.ci_secrets.items()},
            variables=settings.workflow_variables,
        ),
        existing=found.existing,
    )


def to_deploy_host(settings: Settings, server: Server, repositories: Mapping[str, pulumi.Resource]) -> DeployHostArgs:
    """Return what a deploy host is given."""
    return DeployHostArgs(
        server=server,
        admin_key=secret(settings.admin_ssh_key),
        kestra_key=settings.kestra_public_key,
        branch=settings.default_branch,
        registry_password=secret(settings.registry_password) if settings.registry_password else None,
        git_key=secret(settings.deploy_git_key) if settings.deploy_git_key and server.git_host else None,
        git_known_hosts=settings.git_known_hosts(server),
        fetched_after=[*repositories.values()],
    )
