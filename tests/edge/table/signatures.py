"""Signatures and keys that are not quite right."""

from dataclasses import replace

from tests.edge.edge import STRANGER
from tests.edge.siege import EXPIRED_KEY, EXPIRED_SECRET, HOOKS, SHORT_KEY, SHORT_SECRET, Siege, signature
from tests.edge.table.row import HTTP_BROKEN, Row


def head(value: str) -> str:
    """Return the header of a signature."""
    return f"X-Hub-Signature-256: {value}"


def own_key(s: Siege) -> int:
    """Deliver; return how many of the requests that Kestra gets have its own key, and not the one that hooks have."""
    s.post()
    return sum(
        s.given.inner_key.encode() in each and s.given.key.encode() not in each
        for each in s.witness.testimony().requests(s.marker)
    )


ROWS = [
    # As GitHub sends them: an edge that refuses everybody is none.
    Row("a signed delivery", lambda s: s.post(), 200, passes=1),
    Row("a signed delivery from elsewhere", lambda s: replace(s, number=STRANGER).post(), 403),
    Row("white space around a signature", lambda s: s.unsigned(s.signed.replace(": ", ":\t ") + "  "), 200, passes=1),
    Row("no signature", lambda s: s.unsigned(), 403),
    Row("an empty signature", lambda s: s.unsigned(head("")), 403),
    Row("a signature of another body", lambda s: s.unsigned(head(signature(s.given.secret, b"{}"))), 403),
    Row("a signature with another secret", lambda s: s.unsigned(head(signature("x" * 64, s.body))), 403),
    Row("a signature with the URL's key", lambda s: s.unsigned(head(signature(s.given.key, s.body))), 403),
    Row("a signature with an empty secret", lambda s: s.unsigned(head(signature("", s.body))), 403),
    Row("a signature with a short secret", lambda s: s.unsigned(head(signature(SHORT_SECRET, s.body))), 403),
    Row("a signature with an expired secret", lambda s: s.unsigned(head(signature(EXPIRED_SECRET, s.body))), 403),
    Row("upper-case digits", lambda s: s.unsigned(head("sha256=" + s.digest.upper())), 403),
    Row("an upper-case name", lambda s: s.unsigned(head("SHA256=" + s.digest)), 403),
    Row("no name before the digits", lambda s: s.unsigned(head(s.digest)), 403),
    Row("a digit less", lambda s: s.unsigned(head("sha256=" + s.digest[:-1])), 403),
    Row("no digits", lambda s: s.unsigned(head("sha256=")), 403),
    Row("a digit more", lambda s: s.unsigned(head(f"sha256={s.digest}0")), 403),
    Row("a blank before the digits", lambda s: s.unsigned(head(f"sha256= {s.digest}")), 403),
    Row("quotes around a signature", lambda s: s.unsigned(head(f'"sha256={s.digest}"')), 403),
    Row("a parameter behind a signature", lambda s: s.unsigned(head(f"sha256={s.digest};x=1")), 403),
    Row("two in one header", lambda s: s.unsigned(head(f"sha256={'0' * 64}, sha256={s.digest}")), 403),
    Row("two headers, the right one first", lambda s: s.post(head("sha256=" + "0" * 64)), 403),
    Row("two headers, the right one last", lambda s: s.unsigned(head("sha256=" + "0" * 64), s.signed), 403),
    Row("the right header twice", lambda s: s.post(s.signed), 403),
    Row("sha1 alone", lambda s: s.unsigned(f"X-Hub-Signature: {signature(s.given.secret, s.body, 'sha1')}"), 403),
    Row("sha1 in the header for sha256", lambda s: s.unsigned(head(signature(s.given.secret, s.body, "sha1"))), 403),
    Row("a header with underscores", lambda s: s.unsigned(s.signed.replace("-", "_")), 403),
    Row("a blank before the colon", lambda s: s.unsigned(s.signed.replace(":", " :")), HTTP_BROKEN),
    Row("a NUL behind a signature", lambda s: s.unsigned(s.signed.encode() + b"\0"), HTTP_BROKEN),
    Row("a bare CR behind a signature", lambda s: s.unsigned(s.signed.encode() + b"\rx"), HTTP_BROKEN),
    Row(
        "the signature in the query", lambda s: s.unsigned(path=f"{s.path}?x-hub-signature-256=sha256={s.digest}"), 403
    ),
    Row("the signature as a cookie", lambda s: s.unsigned(f"Cookie: {s.signed}"), 403),
    Row("Kestra's key is told to Kestra alone", own_key, 1, passes=1),
    Row("another key", lambda s: s.post(path=HOOKS + "x" * 32), 404),
    Row("the key in other case", lambda s: s.post(path=HOOKS + s.given.key.swapcase()), 404),
    Row("the key without its end", lambda s: s.post(path=s.path[:-1]), 404),
    Row("no key", lambda s: s.post(path=HOOKS), 404),
    Row("no key and no slash", lambda s: s.post(path=HOOKS[:-1]), 404),
    Row("an expired key", lambda s: s.post(path=HOOKS + EXPIRED_KEY), 404),
    Row("a short key", lambda s: s.post(path=HOOKS + SHORT_KEY), 404),
    Row("Kestra's own key", lambda s: s.post(path=HOOKS + s.given.inner_key), 404),
]
