"""The policy pack in real previews: the desk passes, a planted violation stops it before anything is changed."""

from tests.estate import Estate

PACK = ("--policy-pack", "policies")


def test_the_desk_breaks_no_policy(desk: Estate) -> None:
    outcome = desk.pulumi("preview", *PACK)
    assert outcome.code == 0, outcome.text
    assert "carica@v1.0.0" in outcome.text  # the pack has run
    assert "violation" not in outcome.text
    assert "can't run policy" not in outcome.text


def test_a_violation_stops_preview_and_up_with_the_way_to_mend_it(desk: Estate) -> None:
    file = desk.project / "components/kestra.py"
    original, before = file.read_text(), desk.container_ids()
    planted = 'volumes=[docker.ContainerVolumeArgs(host_path="/var/run/docker.sock", container_path="/d"), '
    file.write_text(original.replace("volumes=[", planted))
    for words in (("preview",), ("up", "--yes", "--skip-preview")):
        outcome = desk.pulumi(*words, *PACK)
        assert outcome.code != 0, outcome.text
        assert "[mandatory]  no-container-sees-the-host" in outcome.text
        assert f"{desk.prefix}-kestra is given /var/run/docker.sock of the host: whoever talks to" in outcome.text
        assert "To mend it, keep its files in a named volume" in outcome.text
    file.write_text(original)
    assert desk.container_ids() == before
    assert desk.pulumi("preview", "--expect-no-changes").code == 0
