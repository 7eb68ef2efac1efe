"""The deployment desk: database, workflow engine, edge, flows and deploy host, each made from the ones above it."""

import pulumi
import pulumi_docker as docker

from components.deploy_host import DeployHost, DeployHostArgs
from components.flow import Flow, read_flows
from components.guard import Guard
from components.haproxy import HAProxy, HAProxyArgs
from components.kestra import Kestra, KestraArgs
from components.postgres import DatabaseArgs, Postgres, PostgresArgs
from components.settings import FLOWS, load, secret

settings = load()
sources = read_flows(FLOWS, settings.flows)
desk = f"carica-{pulumi.get_stack()}"
on_engine = pulumi.ResourceOptions(provider=docker.Provider("engine", host=settings.docker_host))
postgres = Postgres(
    f"{desk}-postgres",
    PostgresArgs(
        runtime=settings.runtime("postgres"),
        password=secret(settings.postgres_password),
        databases=[DatabaseArgs(name=each.name, password=secret(each.password)) for each in settings.databases],
        protect=settings.protect_data,
    ),
    on_engine,
)
kestra = Kestra(
    f"{desk}-kestra",
    KestraArgs(
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
        secrets={"GITHUB_TOKEN": secret(settings.github_token)},
        ssh_key=secret(settings.kestra_ssh_key),
        known_hosts=settings.known_hosts,
        protect=settings.protect_data,
    ),
    on_engine,
)
edge = HAProxy(
    f"{desk}-haproxy",
    HAProxyArgs(
        runtime=settings.runtime("haproxy"),
        url=settings.url,
        bind_address=str(settings.bind_address),
        ports=(settings.http_port, settings.https_port),
        certificate=secret(settings.tls_certificate),
        webhook_key=secret(settings.webhook_key),
        webhook_secret=secret(settings.webhook_secret),
        kestra=kestra,
    ),
    on_engine,
)
on_desk = pulumi.ResourceOptions(depends_on=[kestra.container, *edge.ready], deleted_with=kestra.container)
flows = [
    Flow(flow, url=settings.url, ca=settings.tls_ca, source=source, opts=on_desk) for flow, source in sources.items()
]
admin_key, branch = secret(settings.admin_ssh_key), settings.default_branch
hosts = [
    DeployHost(
        each.name,
        DeployHostArgs(server=each, admin_key=admin_key, kestra_key=settings.kestra_public_key, branch=branch),
    )
    for each in settings.deploy_hosts
]
Guard("guard", [postgres, kestra, edge, *flows, *hosts], protect=settings.protect_data)
pulumi.export("url", settings.url)
pulumi.export("webhook_urls", secret(settings.webhook_key).apply(settings.webhook_urls))
pulumi.export("kestra_user", settings.kestra_user)
pulumi.export("deploy_hosts", {each.name: f"{each.user}@{each.address}:{each.port}" for each in settings.deploy_hosts})
pulumi.export("images", {"postgres": postgres.image, "kestra": kestra.image, "haproxy": edge.image})
