"""HAProxy: the edge's configuration and certificate, and its container."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi
import pulumi_docker as docker

from components.certificate import given, ordered
from components.container import Runtime, service
from components.job import Job, JobArgs
from components.kestra import Kestra
from components.settings.certificate import Acme
from components.templating import render

USER = "haproxy"
CONFIGURATION = "/usr/local/etc/haproxy"
RUN = "/var/lib/haproxy"

REMEMBERED = 4
"""How many keys, and how many secrets, are taken at once: the one in force, and those that hooks may still use."""

_HEALTHY = "wget -q -O /dev/null http://127.0.0.1:8404/healthz"

_INSTALL = f"""
# Checked before it is put in place, and put in place whole: what runs goes on until the new one is known to be good.
umask 077
cd {CONFIGURATION}

# `accepted` has a line `key|secret, until when, value` for all that hooks may use, the newest first: what is in force,
# for ever, and what was before it, for an hour from now or what is left of its own hour.
touch accepted
awk -v hour=$(($(date +%s) + 3600)) '
    NR == FNR {{ given[$1] = $2; print $1, "9999999999", $2 }}
    NR > FNR && NF == 3 && $3 "" != given[$1] "" && $2 > hour - 3600 {{ print $1, ($2 < hour ? $2 : hour), $3 }}
' /new/accepted accepted > accepted.new
awk -v most={REMEMBERED} '
    ++n[$1] > most {{
        print "more than " most " " $1 "s would be taken at once: an older one must run out first, within the hour"
        exit 1
    }}
' accepted.new
{{
    awk '
        BEGIN {{ print "global" }}
        {{ name = $1 n[$1]++ }}
        {{ printf "    set-var proc.%s str(%s)\\n    set-var proc.%s_until int(%s)\\n", name, $3, name, $2 }}
        $2 == 9999999999 && length($3) > 19 {{ printf "    setenv EDGE_HAS_%s yes\\n", toupper($1) }}
    ' accepted.new
    cat /new/haproxy.cfg
}} > haproxy.cfg.new

haproxy -c -f haproxy.cfg.new
mv haproxy.cfg.new haproxy.cfg
if socat -u OPEN:/dev/null UNIX-CONNECT:{RUN}/master.sock 2>/dev/null; then
    answer=$(echo reload | socat -t20 - UNIX-CONNECT:{RUN}/master.sock)
    echo "$answer"
    echo "$answer" | grep -q Success=1
fi
find tls -name '*.pem' ! -name "$CERTIFICATE.pem" -delete
"""

_REMEMBER = """
# Last: hooks move only after a job that ended well, so what one that did not had in force is forgotten.
mv accepted.new accepted
"""


@dataclass(frozen=True, kw_only=True)
class HAProxyArgs:
    """What the edge is given."""

    runtime: Runtime
    """Engine, image of HAProxy 3.4 or later (large buffers for signed bodies), memory (8 bodies of 25 MiB at most)."""
    url: str
    """The address people open, without a path; its host name is the only one the edge answers to."""
    bind_address: str
    """IPv4 address of the machine that the ports are published on. Over IPv6 Docker would hide who asks."""
    ports: tuple[int, int]
    """Published ports: of HTTP, which redirects, and of HTTPS."""
    certificate: pulumi.Input[str]
    """PEM: certificate chain, then its private key; not looked at with `acme`."""
    acme: Acme | None
    """Whom HAProxy orders its certificate from; None: it has one."""
    webhook_key: pulumi.Input[str]
    """Last segment of the webhooks' URLs, as GitHub calls them."""
    webhook_secret: pulumi.Input[str]
    """What GitHub signs deliveries with."""
    kestra: Kestra
    """What is behind it; the edge joins all of its networks but the database's."""
    source_limit: int
    """How many requests, and how many new connections, one source may make in ten seconds."""
    github_addresses: pulumi.Input[Sequence[str]] | None = None
    """Where webhooks may come from, as networks; None: from anywhere, as they are signed."""
    metrics: bool = False
    """Whether containers in its networks get Prometheus' figures, on port 9101."""
    stats_port: int = 8405
    """The port of the Docker host's loopback that the statistics page is published on."""
    stats_password: pulumi.Input[str] | None = None
    """Of the page's user `statistics`; None: there is no page."""


class HAProxy(pulumi.ComponentResource):
    """The edge. A new configuration or certificate is reloaded; only a new image or port replaces the container."""

    ready: list[pulumi.Resource]
    """Depend on them to come after the edge serves with the declared configuration."""
    image: pulumi.Output[str]
    """The image that runs."""

    def __init__(self, name: str, args: HAProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the edge."""
        super().__init__("carica:haproxy:HAProxy", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        image = docker.RemoteImage(f"{name}-image", name=args.runtime.image, keep_locally=True, opts=child)
        volumes = {
            path: docker.Volume(f"{name}-{what}", name=f"{name}-{what}", opts=child).name
            for path, what in ((CONFIGURATION, "configuration"), (RUN, "run"))
        }
        owned = Job(
            f"{name}-owner",
            JobArgs(
                engine=args.runtime.engine,
                image_id=image.image_id,
                # The image's directory is root's, and so is a volume there for as long as it is empty.
                user="root",
                script=f"mkdir -p {CONFIGURATION}/tls && chown {USER}: {CONFIGURATION} {CONFIGURATION}/tls {RUN}",
                volumes=volumes,
                capabilities=("CAP_CHOWN",),
            ),
            opts=child,
        )
        domain = str(urlsplit(args.url).hostname)
        certificate = (
            ordered(args.acme, domain, CONFIGURATION, RUN) if args.acme else given(args.certificate, CONFIGURATION)
        )
        configured = Job(
            f"{name}-configuration",
            JobArgs(
                engine=args.runtime.engine,
                image_id=image.image_id,
                user=USER,
                script=certificate.install + _INSTALL + certificate.reloaded + _REMEMBER,
                files={
                    **certificate.files,
                    "/new/accepted": render(
                        "accepted.j2", webhook_key=args.webhook_key, webhook_secret=args.webhook_secret
                    ),
                    "/new/haproxy.cfg": render(
                        "haproxy.cfg.j2",
                        run=RUN,
                        sections=certificate.sections,
                        crt=certificate.crt,
                        challenged=certificate.challenged,
                        remembered=REMEMBERED,
                        inner_key=args.kestra.webhook_key,
                        domain=domain,
                        authority=urlsplit(args.url).netloc,
                        url=args.url,
                        kestra=args.kestra.address,
                        source_limit=args.source_limit,
                        github_addresses=args.github_addresses,
                        metrics=args.metrics,
                        stats_password=args.stats_password,
                    ),
                },
                environment=certificate.environment,
                volumes=volumes,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[owned]),
        )
        ports = [(8080, args.ports[0], args.bind_address), (8443, args.ports[1], args.bind_address)]
        if args.stats_password is not None:
            ports.append((8405, args.stats_port, "127.0.0.1"))
        container = service(
            name,
            docker.ContainerArgs(
                image=image.image_id,
                user=USER,
                # -W and -db as in the image's entrypoint; -S is the socket that reloads.
                command=["haproxy", "-W", "-db", "-S", f"{RUN}/master.sock", "-f", f"{CONFIGURATION}/haproxy.cfg"],
                networks_advanced=[
                    docker.ContainerNetworksAdvancedArgs(name=args.kestra.network),
                    *(docker.ContainerNetworksAdvancedArgs(name=other) for other in args.kestra.more_networks),
                ],
                ports=[
                    docker.ContainerPortArgs(internal=inside, external=outside, ip=address)
                    for inside, outside, address in ports
                ],
                volumes=[
                    docker.ContainerVolumeArgs(volume_name=volume, container_path=path)
                    for path, volume in volumes.items()
                ],
                memory=args.runtime.memory,
                read_only=True,
                ulimits=[docker.ContainerUlimitArgs(name="nofile", soft=8192, hard=8192)],
            ),
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD-SHELL", f"{_HEALTHY} && {certificate.health}"]
                if certificate.health
                else ["CMD", *_HEALTHY.split()],
                interval="2s",
                timeout="3s",
                retries=5,
                start_period="10s",
            ),
            wait_seconds=60,
            stop_seconds=12,  # what a delivery may take; the event streams of open pages are not waited for
            opts=pulumi.ResourceOptions(parent=self, depends_on=[configured]),
        )

        self.ready = [container, configured]
        if certificate.issued:
            self.ready.append(
                Job(
                    f"{name}-certificate",
                    JobArgs(
                        engine=args.runtime.engine,
                        image_id=image.image_id,
                        user=USER,
                        script=certificate.issued,
                        volumes=volumes,
                    ),
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[container]),
                )
            )
        self.image = image.name
        self.register_outputs({"image": self.image})
