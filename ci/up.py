"""`ci/step up`: make the stack as main says."""

from ci.access import access
from ci.actions import SUMMARY_BYTES, Run
from ci.pulumi import Pulumi
from ci.report import counts, fenced


def up(run: Run) -> int:
    """Preview with the policies, then bring the stack up; return the exit code of `pulumi up`."""
    with access(run.environment) as environment:
        # With its own preview first: a violation on the last resource is found before the first is touched.
        outcome = Pulumi(run.stack, environment).run("up", "--yes", "--policy-pack", "policies")
    result = "**failed**" if outcome.code else counts(outcome.text)
    run.summarise(f"### `pulumi up` of {run.stack}: {result}\n\n{fenced(outcome.text, SUMMARY_BYTES - 1000)}")
    if outcome.code:
        run.error(
            f"{run.stack} is not as main says",
            "The reason is at the end of the log. What was done before it stays; the next `up` goes on from there, so "
            "merge what mends it, or run this job again.",
        )
    return outcome.code
