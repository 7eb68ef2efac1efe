"""The demo's path, asserted: what a newcomer is shown is what happens."""

import pytest

from lab.demo import demo
from tests.estate import Estate


def test_the_demo_deploys_a_push_and_refuses_a_forged_one(desk: Estate, capsys: pytest.CaptureFixture[str]) -> None:
    demo(desk.env, desk.name, desk.project, desk.ssh_port)
    shown = capsys.readouterr().out
    steps = [
        "git push begun",
        "accepted by the edge",
        "execution created",
        "script started",
        "script finished",
        "SUCCESS",
    ]
    assert sorted(steps, key=shown.index) == steps
    assert "403" in shown.splitlines()[-1]
    commit = shown.splitlines()[0].rpartition(" ")[2]
    assert f'"commit": "{commit}' in shown
    assert desk.setting("webhookSecret") not in shown
    assert desk.setting("webhookKey") not in shown
