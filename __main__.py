"""The deployment desk: database, workflow engine, edge, flows and deploy host, each made from the ones above it."""

import pulumi
import pulumi_docker as docker

from components.deploy_host import DeployHost, DeployHostArgs
from components.flow import Flow
from components.haproxy import HAProxy, HAProxyArgs
from components.kestra import Kestra, KestraArgs
from components.postgres import DatabaseArgs, Postgres, PostgresArgs
from components.settings import FLOWS, load, secret

settings = load()
desk = f"carica-{pulumi.get_stack()}"
engine = docker.Provider("engine", host=settings.docker_host)
on_engine = pulumi.ResourceOptions(provider=engine)

postgres = Postgres(
    f"{desk}-postgres",
    PostgresArgs(
        engine=settings.docker_host,
        image=settings.postgres_image,
        memory=settings.postgres_memory,
        password=secret(settings.postgres_password),
        databases=[DatabaseArgs(name=each.name, password=secret(each.password)) for each in settings.databases],
        protect=settings.protect_data,
    ),
    on_engine,
)
kestra = Kestra(
    f"{desk}-kestra",
    KestraArgs(
        engine=settings.docker_host,
        image=settings.kestra_image,
        memory=settings.kestra_memory,
        url=settings.url,
        user=settings.kestra_user,
        password=secret(settings.kestra_password),
        encryption_key=secret(settings.encryption_key),
        termination_grace=settings.termination_grace,
        database_host=postgres.host,
        database_password=secret(settings.kestra_database.password),
        data_network=postgres.network,
        more_networks=settings.kestra_networks,
        variables=settings.flow_variables,
        secrets={"GITHUB_TOKEN": secret(settings.github_token), "WEBHOOK_KEY": secret(settings.webhook_key)},
        ssh_key=secret(settings.kestra_ssh_key),
        known_hosts=tuple(host.known_hosts_line for host in settings.deploy_hosts),
        protect=settings.protect_data,
        database=postgres.container,
        databases=postgres.databases,
    ),
    on_engine,
)
edge = HAProxy(
    f"{desk}-haproxy",
    HAProxyArgs(
        engine=settings.docker_host,
        image=settings.haproxy_image,
        memory=settings.haproxy_memory,
        url=settings.url,
        bind_address=str(settings.bind_address),
        http_port=settings.http_port,
        https_port=settings.https_port,
        certificate=secret(settings.tls_certificate),
        webhook_secret=secret(settings.webhook_secret),
        network=kestra.network,
        kestra=kestra.address,
    ),
    on_engine,
)
for flow in settings.flows:
    source = (FLOWS / f"{flow}.yaml").read_text()
    after = pulumi.ResourceOptions(depends_on=[kestra.container, *edge.ready])
    Flow(flow, url=settings.url, ca=settings.tls_ca, source=source, opts=after)
for host in settings.deploy_hosts:
    DeployHost(
        host.name,
        DeployHostArgs(
            address=host.admin_address or host.address,
            port=host.admin_port or host.port,
            admin_user=host.admin_user,
            admin_key=secret(settings.admin_ssh_key),
            host_key=host.host_key,
            user=host.user,
            public_key=settings.kestra_public_key,
            repository=host.repository,
            branch=settings.default_branch,
        ),
    )

pulumi.export("url", settings.url)
pulumi.export("webhook_urls", secret(settings.webhook_key).apply(settings.webhook_urls))
pulumi.export("kestra_user", settings.kestra_user)
pulumi.export("deploy_hosts", {host.name: f"{host.user}@{host.address}:{host.port}" for host in settings.deploy_hosts})
pulumi.export("images", {"postgres": postgres.image, "kestra": kestra.image, "haproxy": edge.image})
