"""`ci/step drift`: what somebody changed by hand, as one issue that is open for as long as it differs."""

from ci.access import access
from ci.actions import SUMMARY_BYTES, Run
from ci.github import BODY_BYTES, GitHub
from ci.pulumi import DIFFERS, Pulumi
from ci.report import fenced
from components.github.environments import CHANGED

BLIND = "could not be looked at"
"""What components/flow.py and job.py warn with about what they then leave out of the comparison."""

BODY = """Something changed outside of Pulumi. [The last run]({url}) that saw it has the whole log.

To put the code's version back, run `pulumi up --refresh`; to keep the change, write it into the code. This issue
follows what the nightly run sees, and is closed by the first that sees nothing.

{diff}
"""


def drift(run: Run) -> int:
    """Compare the stack with the world; return 0 when they agree, and another number when they do not."""
    with access(run.environment) as environment:
        # With the program, so that providers log in with today's settings, not with those of the last `up`.
        outcome = Pulumi(run.stack, environment).run(
            "refresh", "--preview-only", "--expect-no-changes", "--run-program"
        )
    marker, title = f"<!-- carica-drift:{run.stack} -->", f"{run.stack} was changed by hand"
    body = BODY.format(url=run.url, diff=fenced(outcome.text, BODY_BYTES - 1000))
    # What the program itself noticed is a warning to Pulumi, and no difference.
    code = outcome.code or (DIFFERS if CHANGED in outcome.text else 0)
    if code == DIFFERS:
        run.summarise(f"### {title}\n\n{body}")
        run.error(title, "The issue of that name shows what, and how to mend it.")
        if run.repository:
            with GitHub(run) as github:
                github.open_issue(marker, title, body)
    elif code or BLIND in outcome.text:
        run.summarise(f"### {run.stack} could not be looked at\n\n{fenced(outcome.text, SUMMARY_BYTES - 1000)}")
        run.error(f"{run.stack} could not be looked at", "Whether something drifted is not known; see the log.")
        return code or 1
    else:
        run.summarise(f"### {run.stack} is as Pulumi left it")
        if run.repository:
            with GitHub(run) as github:
                github.close_issue(marker, f"Nothing differs any more, says [this run]({run.url}).")
    return code
