"""Other ways to write the path of a webhook, all with the right key and signature, and other parts of Kestra."""

from collections.abc import Callable

from tests.edge.siege import PAGE, Siege
from tests.edge.table.row import HTTP_BROKEN, Row
from tests.edge.wire import Answer

Verdict = int | tuple[int, ...]
WRITTEN: list[tuple[str, Verdict, Callable[[str], str]]] = [
    ("a letter encoded", 404, lambda path: path.replace("webhook", "%77ebhook")),
    ("a letter encoded twice", 404, lambda path: path.replace("webhook", "%2577ebhook")),
    ("a letter encoded three times", 400, lambda path: path.replace("webhook", "%252577ebhook")),
    ("a letter encoded in capitals", 404, lambda path: path.replace("executions", "e%58ecutions")),
    ("a slash encoded", 404, lambda path: path.replace("executions/", "executions%2f")),
    ("a slash encoded twice", 404, lambda path: path.replace("executions/", "executions%252f")),
    ("the flow encoded", 404, lambda path: path.replace("target", "tar%67et")),
    ("the key encoded", 404, lambda path: path[:-1] + f"%{ord(path[-1]):x}"),
    ("capitals", 404, lambda path: path.replace("executions/webhook", "EXECUTIONS/WEBHOOK")),
    ("one capital", 404, lambda path: path.replace("/api/", "/Api/")),
    ("a doubled slash at its beginning", 404, lambda path: "/" + path),
    ("a doubled slash inside", 404, lambda path: path.replace("executions/", "executions//")),
    ("a doubled slash before the key", 404, lambda path: path.replace("target/", "target//")),
    ("a slash at its end", 404, lambda path: path + "/"),
    ("another segment", 404, lambda path: path + "/more"),
    ("a segment before the key", 404, lambda path: path.replace("target/", "target/more/")),
    ("one segment less", 404, lambda path: path.replace("tests.edge/", "")),
    ("a dot segment", 400, lambda path: path.replace("executions/", "executions/./")),
    ("two dots", 400, lambda path: path.replace("executions/", "executions/x/../")),
    ("two dots encoded", 400, lambda path: path.replace("executions/", "executions/x/%2e%2e/")),
    ("two dots encoded twice", 400, lambda path: path.replace("executions/", "executions/x/%252e%252e/")),
    ("two dots from a page", 400, lambda path: "/ui/.." + path),
    ("a dot at its end", 400, lambda path: path + "/."),
    ("a matrix parameter", 400, lambda path: path.replace("executions", "executions;x=1")),
    ("an empty matrix parameter", 400, lambda path: path.replace("webhook", "webhook;")),
    ("a matrix parameter at its end", 400, lambda path: path + ";x=1"),
    ("a semicolon encoded", 400, lambda path: path.replace("executions", "executions%3bx=1")),
    ("a backslash", 400, lambda path: path.replace("executions/", "executions\\")),
    ("a backslash encoded", 400, lambda path: path.replace("executions/", "executions%5c")),
    ("a backslash encoded twice", 400, lambda path: path.replace("executions/", "executions%255c")),
    ("a NUL", 400, lambda path: path.replace("executions", "executions\0")),
    ("a NUL encoded", 400, lambda path: path + "%00"),
    ("a NUL encoded twice", (400, 404), lambda path: path + "%2500"),
    ("a broken escape", 400, lambda path: path + "%zz"),
    ("an escape that is broken once decoded", 404, lambda path: path + "%25zz"),
    ("an escape cut short", 400, lambda path: path + "%4"),
    ("a letter by its number", 400, lambda path: path.replace("webhook", "%u0077ebhook")),
    ("an overlong slash", 400, lambda path: path.replace("executions/", "executions%c0%af")),
    (
        "an overlong slash and a broken escape",
        400,
        lambda path: path.replace("executions/", "executions%c0%af") + "%25zz",
    ),
    ("an overlong letter", 400, lambda path: path.replace("webhook", "%c1%b7ebhook")),
    ("a wide slash", 400, lambda path: path.replace("executions/", "executions%ef%bc%8f")),
    ("a tab encoded twice", 400, lambda path: path + "%2509"),
    ("a tab encoded", 400, lambda path: path + "%09"),
    ("a line break encoded", 400, lambda path: path + "%0d%0a"),
    ("a line feed encoded", 400, lambda path: path + "%0a"),
    ("a blank", 400, lambda path: path.replace("webhook", "webhook x")),
    ("a fragment", (400, 404), lambda path: path + "#x"),
    ("letters beyond ASCII", (400, 404), lambda path: path.replace("webhook", "ｗebhook")),
    ("no slash before it", HTTP_BROKEN, lambda path: path[1:]),
    ("no tenant", 404, lambda path: path.replace("/main", "")),
    ("another tenant", 404, lambda path: path.replace("/main", "/other")),
    ("another version", 404, lambda path: path.replace("v1", "v2")),
    ("another prefix", 404, lambda path: "/ui" + path),
]
OTHER = ["/metrics", "/health", "/prometheus", "/env", "/haproxy?stats", "/stats", "/uix", "/apis/x", "//ui/", "/x"]


def written(change: Callable[[str], str]) -> Callable[[Siege], Answer]:
    """Deliver to the path in another form."""
    return lambda s: s.post(path=change(s.path))


def page(path: str) -> Callable[[Siege], Answer]:
    """Ask for a page."""
    return lambda s: s.get(path)


ROWS = [
    *(Row(f"a path with {what}", written(change), verdict) for what, verdict, change in WRITTEN),
    *(Row(f"Kestra's {path}", page(path), 404) for path in OTHER),
    Row("Kestra's /metrics by dots", page("/ui/../metrics"), 400),
    Row("a page", page(PAGE), (200, 401), passes=1),
    Row("a page with a percent sign", page("/ui/100%25"), (200, 400, 401, 404), passes=1),
]
