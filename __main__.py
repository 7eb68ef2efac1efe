"""The deployment desk: database, engine, edge, flows, repositories and deploy host, each made from those above it."""

import pulumi
import pulumi_docker as docker

from components import given
from components.deploy_host import DeployHost
from components.flow import Flow, read_flows
from components.github import access
from components.guard import Guard
from components.haproxy import HAProxy
from components.kestra import Kestra
from components.postgres import Postgres
from components.repository import Repository
from components.settings import FLOWS, load, secret

settings = load()
sources = read_flows(FLOWS, settings.flows)
found = access.look(settings)
desk = f"carica-{pulumi.get_stack()}"

on_engine = pulumi.ResourceOptions(provider=docker.Provider("engine", host=settings.docker_host))
postgres = Postgres(f"{desk}-postgres", given.to_postgres(settings), on_engine)
kestra = Kestra(f"{desk}-kestra", given.to_kestra(settings, postgres), on_engine)
github = access.provider(settings)
hook_addresses = access.hook_addresses(settings, github)
edge = HAProxy(f"{desk}-haproxy", given.to_haproxy(settings, kestra, hook_addresses), on_engine)

on_desk = pulumi.ResourceOptions(depends_on=[kestra.container, *edge.ready], deleted_with=kestra.container)
flows = [
    Flow(name, url=settings.url, ca=settings.tls_ca, source=source, opts=on_desk) for name, source in sources.items()
]

on_github = pulumi.ResourceOptions(provider=github)
repositories = {
    each.name: Repository(each.name, given.to_repository(settings, each, found, edge, flows), on_github)
    for each in settings.repositories
}

hosts = [DeployHost(each.name, given.to_deploy_host(settings, each, repositories)) for each in settings.deploy_hosts]

everything = [postgres, kestra, edge, *flows, *repositories.values(), *hosts]
Guard("guard", everything, protect=settings.protect_data)

pulumi.export("url", settings.url)
pulumi.export("webhook_urls", secret(settings.webhook_key).apply(settings.webhook_urls))
pulumi.export("kestra_user", settings.kestra_user)
pulumi.export("deploy_hosts", {each.name: f"{each.user}@{each.address}:{each.port}" for each in settings.deploy_hosts})
pulumi.export("repositories", {name: each.url for name, each in repositories.items()})
pulumi.export("images", {"postgres": postgres.image, "kestra": kestra.image, "haproxy": edge.image})
