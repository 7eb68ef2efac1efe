"""`ci/step preview`: what `up` would do, in the log and as one comment on the pull request."""

from ci.access import access
from ci.actions import Run
from ci.github import BODY_BYTES, GitHub
from ci.pulumi import Outcome, Pulumi
from ci.report import counts, fenced


def preview(run: Run) -> int:
    """Preview the stack with the policies; return the exit code of `pulumi preview`."""
    if run.is_for_a_fork:
        print("This pull request comes from a fork: it is given no secrets, and nothing is previewed.")
        return 0
    with access(run.environment) as environment:
        outcome = Pulumi(run.stack, environment).run("preview", "--policy-pack", "policies")
    text = _report(run, outcome)
    run.summarise(text)
    if run.pull_request:
        with GitHub(run) as github:
            github.comment(run.pull_request["number"], f"<!-- carica-preview:{run.stack} -->", text)
    if outcome.code:
        run.error(f"The preview of {run.stack} failed", "The reason stands in the log and in the comment.")
    return outcome.code


def _report(run: Run, outcome: Outcome) -> str:
    result = "**failed**" if outcome.code else counts(outcome.text)
    lines = [f"### `pulumi preview` of {run.stack}: {result}", ""]
    if run.pull_request:
        lines += [f"For {run.pull_request['head']['sha']}, by [this run]({run.url}).", ""]
    diff = fenced(outcome.text, BODY_BYTES - 1000)
    return "\n".join([*lines, "<details><summary>The diff</summary>", "", diff, "", "</details>"])
