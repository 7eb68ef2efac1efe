"""The demo's path, asserted: what a newcomer is shown is what happens."""

import pytest

from lab.demo import demo
from tests.estate import Estate


def test_the_demo_deploys_a_version_rolls_a_broken_one_back_and_refuses_a_forged_call(
    desk: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(desk.env, desk.name, desk.project, desk.ssh_port)
    shown = capsys.readouterr().out
    good, broken = shown.split("A version that cannot start is pushed.")
    for part, steps in (
        (
            good,
            [
                "git push begun",
                "pushed: v",
                "image built and published",
                "accepted by the edge",
                "execution created",
                "script started",
                "the site answers with the new version",
                "script finished",
                "execution ended: SUCCESS",
            ],
        ),
        (
            broken,
            [
                "git push begun",
                "pushed: v",
                "rolling back",
                "execution ended: FAILED",
                "as before",
                "failure, rolled back",
                "403",
            ],
        ),
    ):
        assert sorted(steps, key=part.index) == steps
    version = good.partition("pushed: ")[2].partition(",")[0]
    assert f"the deploy host runs carica {version}, pushed by carica-admin" in good
    assert f"the site answers carica {version}, as before" in broken
    assert desk.setting("webhookSecret") not in shown
    assert desk.setting("webhookKey") not in shown
    assert desk.setting("registryPassword") not in shown
