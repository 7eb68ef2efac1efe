"""What every container must be like (DESIGN, rule 1); components/container.py is where they get it."""

from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import UnknownValueError

from policies.rule import CONTAINER, JOB, Faults, is_part_of, rule

NAMESPACES = ("networkMode", "pidMode", "ipcMode", "usernsMode", "cgroupnsMode")
ROOT = {"root", "0"}
RESTARTS = {"unless-stopped", "always", "on-failure"}


@rule(CONTAINER, mend="take `ports` away: HAProxy reaches it over their common network")
def only_the_edge_publishes_ports(resource: ResourceValidationArgs) -> Faults:
    """Only HAProxy publishes ports."""
    if is_part_of(resource, "carica:haproxy:HAProxy"):
        return
    if resource.props.get("ports") or resource.props.get("publishAllPorts"):
        yield "publishes ports, and is not the edge"


@rule(CONTAINER, mend="keep its files in a named volume, and hand it others by `uploads`")
def no_container_sees_the_host(resource: ResourceValidationArgs) -> Faults:
    """No container is given the Docker socket, or anything else of the machine it runs on."""
    given = [each.get("hostPath") for each in resource.props.get("volumes", [])]
    given += [each.get("source") for each in resource.props.get("mounts", []) if each["type"] == "bind"]
    given += [each["hostPath"] for each in resource.props.get("devices", [])]
    for path in filter(None, given):
        power = ": whoever talks to it rules the machine" if str(path).endswith("docker.sock") else ""
        yield f"is given {path} of the host{power}"


@rule(CONTAINER, mend="declare it by components/container.py, which gives it none")
def no_container_has_power_over_the_host(resource: ResourceValidationArgs) -> Faults:
    """No container is privileged, shares the host's namespaces, keeps a capability, or gains privileges later."""
    props = resource.props
    if props.get("privileged"):
        yield "is privileged"
    for key in NAMESPACES:
        if props.get(key) == "host":
            yield f"has {key} `host`"
    capabilities = props.get("capabilities") or {}
    if "ALL" not in capabilities.get("drops", []) or capabilities.get("adds"):
        yield "keeps capabilities (`capabilities` must drop ALL and add none)"
    options = list(props.get("securityOpts", []))
    if "no-new-privileges:true" not in options:
        yield "may gain privileges (`security_opts` lacks no-new-privileges:true)"
    if loose := [option for option in options if option.endswith("unconfined")]:
        yield f"runs unconfined ({', '.join(loose)})"


@rule(CONTAINER, JOB, mend="set `user` to the account its image offers")
def nothing_runs_as_root(resource: ResourceValidationArgs) -> Faults:
    """No container runs as root, except the jobs that only give a volume to its user."""
    user = str(resource.props.get("user") or "")
    if resource.resource_type == JOB and user == "root":
        if (kept := list(resource.props.get("capabilities", []))) != ["CAP_CHOWN"]:
            yield f"runs as root with {', '.join(kept) or 'no capability'}; a job that is root has CAP_CHOWN, no more"
    elif not user:
        yield "has no user: its image's, which may be root"
    elif user.partition(":")[0] in ROOT:
        yield "runs as root"


@rule(CONTAINER, mend="set `memory` in MiB, and `memory_swap` to the same")
def memory_is_limited(resource: ResourceValidationArgs) -> Faults:
    """Every container has a memory limit and no swap beyond it."""
    memory = resource.props.get("memory") or 0
    if memory <= 0:
        yield "has no memory limit: it can take the whole machine's"
    elif resource.props.get("memorySwap") != memory:
        yield f"is limited to {memory:.0f} MiB but swaps beyond (`memory_swap` differs, and shows in every preview)"


@rule(CONTAINER, mend='set `log_driver="json-file"` and `log_opts={"max-size": "10m", "max-file": "3"}`')
def logs_are_rotated(resource: ResourceValidationArgs) -> Faults:
    """Every container's log is rotated."""
    options = resource.props.get("logOpts") or {}
    if missing := [key for key in ("max-size", "max-file") if not options.get(key)]:
        yield f"fills the disk with its log (`log_opts` lacks {', '.join(missing)})"


@rule(CONTAINER, mend='set `restart="unless-stopped"`')
def containers_restart(resource: ResourceValidationArgs) -> Faults:
    """Every container is started again when it ends or the machine restarts."""
    restart = resource.props.get("restart") or "no"
    if restart not in RESTARTS:
        yield f"stays down once it has ended (`restart` is {restart})"


@rule(CONTAINER, mend="give `service` a healthcheck that fails when the program does not serve")
def containers_are_watched(resource: ResourceValidationArgs) -> Faults:
    """Every container has a healthcheck."""
    tests = list((resource.props.get("healthcheck") or {}).get("tests", []))
    if not tests or tests[0] == "NONE":
        yield "has no healthcheck: nobody would notice that it hangs"


@rule(
    CONTAINER,
    "docker:index/remoteImage:RemoteImage",
    mend="pull a tag or digest by a RemoteImage and give the container its `image_id`",
)
def images_are_pinned(resource: ResourceValidationArgs) -> Faults:
    """Images are named by version or digest, and containers run exactly the image that was pulled."""
    if resource.resource_type == CONTAINER:
        try:
            image = str(resource.props["image"])
        except UnknownValueError:  # in a preview: `up` pulls it, and asks again
            return
        if not image.startswith("sha256:") and "@sha256:" not in image:
            yield f"runs whatever the name {image} stands for when it starts"
        return
    name, _, digest = str(resource.props["name"]).partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not digest and tag in ("", "latest"):
        yield f"pulls {name}, which is whatever was pushed last"


@rule("docker:index/network:Network", mend="set `internal=True`")
def the_data_network_is_internal(resource: ResourceValidationArgs) -> Faults:
    """The network of the database leads nowhere."""
    if is_part_of(resource, "carica:postgres:Postgres") and not resource.props.get("internal"):
        yield "leads out of the machine"


RULES = [
    only_the_edge_publishes_ports,
    no_container_sees_the_host,
    no_container_has_power_over_the_host,
    nothing_runs_as_root,
    memory_is_limited,
    logs_are_rotated,
    containers_restart,
    containers_are_watched,
    images_are_pinned,
    the_data_network_is_internal,
]
