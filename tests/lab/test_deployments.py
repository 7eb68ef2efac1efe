"""The table of what runs where, for each thing that a server can say."""

from lab.deployments import table


def test_each_server_has_a_line_and_columns_stand_below_each_other() -> None:
    said = {"commit": "a" * 40, "images": {"ml": "main", "web": "v1.2.3"}, "at": "2026-11-25T00:35:12Z", "who": "ada"}
    shown = table({"staging": said, "production": None, "new": {"commit": None, "images": {}}}).splitlines()
    assert shown == [
        "server      commit        since                 by   images",
        "staging     aaaaaaaaaaaa  2026-11-25T00:35:12Z  ada  ml main, web v1.2.3",
        "production  does not answer; the log of Kestra's flow `deployments` says why",
        "new         nothing is deployed",
    ]
