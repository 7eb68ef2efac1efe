"""Every security rule of the edge, broken: what is changed in the rendered configuration, and which rows must notice.

Patterns are regular expressions over the whole text, `^` and `$` at lines. One that matches nothing is an error, and so
is a rule that no mutation breaks and EXEMPT does not name (test_mutations.py).
"""

import re
from dataclasses import dataclass

THE_LOG = "the log"
"""In the place of a row: the log, after all that the table does to its paths."""


@dataclass(frozen=True)
class Mutation:
    """One rule broken; `rows` are those of the table that are asked to notice, one of which must."""

    name: str
    edits: tuple[tuple[str, str], ...]
    rows: tuple[str, ...]

    def applied(self, text: str) -> str:
        """Return the configuration without the rule."""
        for pattern, replacement in self.edits:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count, f"{self.name}: nothing in the configuration is like {pattern}"
        return text


def broken(name: str, pattern: str, replacement: str, *rows: str) -> Mutation:
    """Replace a part."""
    return Mutation(name, ((pattern, replacement),), rows)


def gone(line: str, *rows: str) -> Mutation:
    """Leave out the lines that begin so."""
    return Mutation(f"without: {line}", ((rf"^ +{re.escape(line)}.*\n", ""),), rows)


def lifted(refusal: str, *rows: str) -> Mutation:
    """Leave out what is answered under a name of a refusal (haproxy.cfg.j2)."""
    return Mutation(f"no refusal: {refusal}", (_refusal(refusal),), rows)


def _refusal(name: str) -> tuple[str, str]:
    return rf"(str\({name}\)\n) +http-request return .*\n", r"\1"


def unless(name: str, condition: str, *rows: str) -> Mutation:
    """Make a condition that refuses never true."""
    return Mutation(name, ((re.escape(condition), "{ always_false }"),), rows)


def although(name: str, condition: str, *rows: str) -> Mutation:
    """Make a condition that admits always true."""
    return Mutation(name, ((re.escape(condition), "{ always_true }"),), rows)


CBC = "ECDHE-ECDSA-AES128-SHA"
NO_LARGE_BUFFER = (r"^( +http-request wait-for-body .*) use-large-buffer", r"\1")

MUTATIONS = [
    # TLS.
    Mutation(
        "TLS 1.1 is spoken",
        (("ssl-min-ver TLSv1.2", "ssl-min-ver TLSv1.1"), ("(ssl-default-bind-ciphers) ", rf"\1 {CBC}:@SECLEVEL=0:")),
        ("TLS 1.1",),
    ),
    broken("a suite of yesterday", "(ssl-default-bind-ciphers) ", rf"\1 {CBC}:", f"the suite {CBC}"),
    gone("ssl-default-bind-ciphers ", f"the suite {CBC}", "the suite ECDHE-ECDSA-CAMELLIA128-SHA256"),
    broken(
        "a short tag",
        "(ssl-default-bind-ciphersuites) ",
        r"\1 TLS_AES_128_CCM_SHA256:",
        "the suite TLS_AES_128_CCM_SHA256",
    ),
    broken("another curve", "(ssl-default-bind-curves) ", r"\1 secp521r1:", "the curve secp521r1"),
    broken("tickets", " no-tls-tickets", "", "a session's ticket"),
    broken("any name is greeted", " strict-sni", "", "another name in the handshake", "no name in the handshake"),
    Mutation(
        "any name in the handshake is served",
        ((" strict-sni", ""), (r" \|\| !\{ ssl_fc_sni .*\}", "")),
        ("another name in the handshake",),
    ),
    # Time.
    broken(
        "handshakes without an end", "timeout client-hs .*", "timeout client-hs 60s", "silence instead of a handshake"
    ),
    broken(
        "heads without an end",
        "timeout http-request 10s",
        "timeout http-request 60s",
        "a head byte by byte",
        "silence after the handshake",
    ),
    broken(
        "connections that nobody uses",
        "timeout http-keep-alive .*",
        "timeout http-keep-alive 90s",
        "silence after an answer",
    ),
    broken(
        "bodies without an end",
        r"wait-for-body time \S+",
        "wait-for-body time 40s",
        "half a body",
        "a body byte by byte",
    ),
    Mutation(
        "Kestra without an end",
        (("^ +http-request set-timeout server .*\n", ""), ("timeout server 10s", "timeout server 60s")),
        ("Kestra does not answer",),
    ),
    gone("no option abortonclose", "the same after a hang-up"),
    # How many.
    unless("connections without a limit", "{ sc0_conn_cur gt 100 }", "120 connections of one source"),
    unless("connecting without a limit", "{ sc0_conn_rate gt 600 }", "601 connections one after the other"),
    Mutation(
        "no source is counted",
        ((r"^(frontend https(?:\n.*)*?) +tcp-request connection track-sc0 .*\n", r"\1"),),
        ("120 connections of one source", "601 requests in ten seconds"),
    ),
    Mutation(
        "no source is counted without TLS",
        ((r"^(frontend http\n(?:.*\n)*?) +tcp-request connection track-sc0 .*\n", r"\1"),),
        ("120 connections without TLS", "601 requests without TLS"),
    ),
    Mutation(
        "connections without a limit and without TLS",
        ((r"^(frontend http\n(?:.*\n)*?) +tcp-request connection reject .*\n", r"\1"),),
        ("120 connections without TLS",),
    ),
    broken(
        "all sources are one",
        r"ipmask\(32,64\) table sources",
        "ipmask(8,64) table sources",
        "120 connections of one source",
    ),
    unless(
        "requests without a limit",
        "{ sc0_http_req_rate gt 600 }",
        "601 requests in ten seconds",
        "601 requests without TLS",
    ),
    broken(
        "frames that mean nothing",
        "tune.h2.fe.glitches-threshold .*",
        "tune.h2.fe.glitches-threshold 0",
        "HTTP/2: requests that are none",
    ),
    unless("large bodies of all without a limit", "{ sc_conn_cur(3) gt 8 }", "the ninth large body that all hold"),
    unless(
        "large bodies of one without a limit", "{ sc_conn_cur(4) gt 6 }", "the seventh large body that one source holds"
    ),
    unless("bodies of all without a limit", "{ be_conn(webhooks) gt 64 }", "the 65th body that all hold"),
    unless("bodies of one without a limit", "{ sc2_conn_cur gt 48 }", "the 49th body that one source holds"),
    gone("http-request track-sc2 src", "the 49th body that one source holds"),
    gone("http-request track-sc3 str(all)", "the ninth large body that all hold"),
    gone("http-request track-sc4 ", "the seventh large body that one source holds"),
    broken("every body is small", "(acl large .*) gt .*", r"\1 gt 999999999", "the ninth large body that all hold"),
    # Guessing.
    unless("guesses without a limit", "{ sc_gpc_rate(0,0),add(txn.guesses) gt 20 }", "guessing the password"),
    lifted("guessing", "guessing the password"),
    broken("guesses under way do not count", r",add\(txn\.guesses\)", "", "guesses at one moment"),
    gone("http-request set-var(txn.guesses)", "guessing the password"),
    gone("http-request set-var(txn.guess) ", "guesses at one moment"),
    unless("a first guess is none under way", "{ sc_conn_cur(2) eq 1 }", "guesses at one moment"),
    gone("http-request track-sc3 src", "guesses at one moment"),
    gone("http-request track-sc2 var(txn.login)", "a cookie of yesterday, by many"),
    gone("http-response sc-inc-gpc(0,2)", "a cookie of yesterday, by many"),
    gone("http-response sc-inc-gpc(1,2)", "a right log-in beside guesses"),
    unless("a log-in is a guess for ever", "{ sc_get_gpc(1,2) gt 0 }", "a right log-in beside guesses"),
    gone("http-request set-var(txn.lets_in)", "a right log-in beside guesses"),
    broken(
        "whatever opens a page is a log-in",
        r"(set-var\(txn\.lets_in\) bool\(true\)) if .*",
        r"\1",
        "guesses at one moment in forms, with a cookie",
    ),
    lifted("ambiguous-login", "two log-ins in headers", "two log-ins in cookies"),
    unless("guesses in the header do not count", "{ req.fhdr(authorization) -m found }", "guessing the password"),
    unless("guesses in cookies do not count", "{ req.fhdr(cookie) -m found }", "guessing it in cookies"),
    gone("http-request set-var(txn.form)", "guessing it in forms"),
    gone("http-response sc-inc-gpc(0,0)", "guessing the password"),
    # Who is asked, and for what.
    Mutation(
        "any host",
        ((r"!\{ req\.hdr\(host\),host_only -m str -i \S+ \} \|\| ", ""),),
        ("another host", "another host for a page"),
    ),
    Mutation(
        "any host without TLS",
        ((r"(^frontend http\n(?:.*\n)*?.*str\(host\)\n).*\n", r"\1"),),
        ("another host without TLS",),
    ),
    broken(
        "a host that begins right",
        r"host_only -m str -i (\S+) \} \|\|",
        r"host_only -m beg -i \1 } ||",
        "a host with the right name before it",
    ),
    broken(
        "a host that ends right",
        r"host_only -m str -i (\S+) \} \|\|",
        r"host_only -m end -i \1 } ||",
        "a host with the right name behind it",
    ),
    lifted("method", "TRACE of a page"),
    lifted("undecodable", "a path with a NUL encoded", "a path with a broken escape"),
    broken(
        "dot segments",
        re.escape("{ var(txn.twice) -m reg /[.][.]?(/|$) }"),
        "{ always_false }",
        "a path with two dots",
        "Kestra's /metrics by dots",
    ),
    broken("one dot", re.escape("/[.][.]?(/|$)"), "/[.][.](/|$)", "a path with a dot segment"),
    broken("a dot at the end", re.escape("/[.][.]?(/|$)"), "/[.][.]?/", "a path with a dot at its end"),
    broken("matrix parameters", r"-m sub ; ", "-m sub ", "a path with a matrix parameter"),
    broken("backslashes", r"(-m sub ;) \S+", r"\1", "a path with a backslash"),
    broken(
        "what is encoded once",
        r"(set-var\(txn\.twice\) path,url_dec),url_dec",
        r"\1",
        "a path with a letter encoded twice",
    ),
    broken(
        "nothing is decoded",
        r"(set-var\(txn\.(?:once|twice)\) path)(?:,url_dec)+",
        r"\1",
        "a path with a letter encoded",
    ),
    broken("doubled slashes", re.escape(",regsub(/+,/,g)"), "", "a path with a doubled slash inside"),
    broken("capitals", r"(regsub\(/\+,/,g\)),lower", r"\1", "a path with capitals"),
    gone("acl strange var(txn.once)", "a path with an overlong slash and a broken escape"),
    gone("acl strange var(txn.twice) -m reg [^", "a path with a tab encoded twice"),
    gone("acl strange var(txn.twice) -m reg %", "a path with a letter encoded three times"),
    gone("acl hookish var(txn.once)", "a path with an escape that is broken once decoded"),
    gone("acl hookish var(txn.twice)", "a path with a letter encoded twice"),
    lifted("hook-path", "a path with capitals", "a path with another tenant"),
    broken(
        "any tenant",
        "/api/v1/main/executions/webhook/",
        "/api/v1/[a-z]+/executions/webhook/",
        "a path with another tenant",
    ),
    broken("more behind the key", r"\[A-Za-z0-9_-\]\+\$", "[A-Za-z0-9_-]+", "a path with a segment before the key"),
    broken(
        "anything for a flow",
        r"/\[A-Za-z0-9_-\]\+/\[A-Za-z0-9_-\]\+\$",
        "/[^/]+/[A-Za-z0-9_-]+$",
        "a path with the flow encoded",
    ),
    broken("anything before it", r"-m reg \^/api/v1/main", "-m reg /api/v1/main", "a path with another prefix"),
    lifted("path", "Kestra's /metrics", "Kestra's /health"),
    gone("use_backend webhooks", "no signature"),
    # What Kestra is told.
    gone("http-request del-header ^x-forwarded-", "a prefix"),
    gone("http-request del-header forwarded", "Forwarded"),
    gone("http-request del-header x-request-id", "a request's id"),
    gone("http-request del-header upgrade", "an upgrade"),
    gone("option forwardfor", "the true address"),
    gone("http-request set-header X-Forwarded-Proto", "the true protocol"),
    gone("http-request set-header X-Forwarded-Host", "the true host"),
    broken(
        "the client says the host",
        "set-header X-Forwarded-Host .*",
        "set-header X-Forwarded-Host %[req.hdr(host)]",
        "a port of the client's",
    ),
    # What is answered.
    *(
        gone(f"http-after-response set-header {name}", f"every answer says {name.lower()}")
        for name in (
            "Strict-Transport-Security",
            "X-Content-Type-Options",
            "X-Frame-Options",
            "Referrer-Policy",
            "Cross-Origin-Opener-Policy",
            "Permissions-Policy",
            "X-Robots-Tag",
            "Content-Security-Policy",
        )
    ),
    *(
        broken(f"a policy without {what}", f"; {what}", "", f"the policy has {what}")
        for what in ("object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'self'")
    ),
    gone("http-after-response del-header Server", "the server's name is not told"),
    broken("no redirect", "^ +http-request redirect .*\n", "", "a page without TLS"),
    broken(
        "a redirect to where the client says",
        "redirect prefix \\S+",
        "redirect location %[path]",
        "a redirect to another site",
    ),
    # The way of a delivery.
    lifted("hook-source", "a signed delivery from elsewhere"),
    broken(
        "from anywhere", "acl from_github src .*", "acl from_github always_true", "a signed delivery from elsewhere"
    ),
    lifted("hook-method", "GET with a signature", "PUT with a signature", "GET without a body"),
    although("any key", "{ path,field(-1,/),secure_memcmp(proc.key0) }", "another key"),
    broken("expired keys", r"\{ date,sub\(proc\.key\d_until\) lt 0 \}", "{ always_true }", "an expired key"),
    broken("short keys", r"\{ var\(proc\.key\d\),length gt 19 \}", "{ always_true }", "a short key"),
    lifted("hook-key", "another key"),
    gone("http-request replace-path", "Kestra's key is told to Kestra alone"),
    lifted("hook-length", "coding 'chunked'", "no length"),
    lifted("hook-size", "one byte more than GitHub sends"),
    lifted("hook-signature-form", "an upper-case name", "two headers, the right one last"),
    broken(
        "two signatures",
        re.escape("!{ req.fhdr_cnt(x-hub-signature-256) eq 1 } || "),
        "",
        "two headers, the right one last",
    ),
    broken("any form", re.escape("-m reg ^sha256=[0-9a-f]{64}$"), "-m len gt 3", "an upper-case name"),
    gone("http-request wait-for-body", "a signed body of 60 kB", "half a body"),
    Mutation("small buffers", (NO_LARGE_BUFFER,), ("a signed body of 60 kB",)),
    broken("middling buffers", "tune.bufsize.large .*", "tune.bufsize.large 1048576", "a signed body of 25 MiB"),
    Mutation(
        "a body that is not all there", (NO_LARGE_BUFFER, _refusal("hook-cut")), ("the beginning of a body signed",)
    ),
    broken(
        "any signature",
        re.escape("{ req.fhdr(x-hub-signature-256),bytes(7),secure_memcmp(txn.signature) }"),
        "{ always_true }",
        "a signature with another secret",
    ),
    broken(
        "expired secrets",
        r"\{ date,sub\(proc\.secret\d_until\) lt 0 \}",
        "{ always_true }",
        "a signature with an expired secret",
    ),
    broken(
        "short secrets",
        r"\{ var\(proc\.secret\d\),length gt 27 \}",
        "{ always_true }",
        "a signature with a short secret",
    ),
    broken(
        "empty secrets",
        r"\{ var\(proc\.secret\d\),length gt 27 \}",
        "{ always_true }",
        "a signature with an empty secret",
    ),
    lifted("hook-signature", "a signature with another secret"),
    lifted("duplicate", "the same again"),
    broken(
        "replay is told by the delivery's id",
        r"track-sc1 var\(txn\.mac\)",
        "track-sc1 req.hdr(x-github-delivery)",
        "the same as another delivery",
    ),
    broken(
        "replay is told by the address",
        r"track-sc1 var\(txn\.mac\)",
        "track-sc1 src,ipmask(32)",
        "the same from another source",
    ),
    gone("http-response sc-inc-gpc0(1)", "the same again"),
    broken("remembered although it failed", r"(sc-inc-gpc0\(1\)) if .*", r"\1", "the same after Kestra failed"),
    lifted("hook-underway", "the same many times at once"),
    # The log.
    broken("the log shows the key of deliveries", r"(txn\.shown_path\)) 'path,bytes.*'", r"\1 path", THE_LOG),
    gone("acl tells_a_key var(txn.once)", THE_LOG),
    gone("acl tells_a_key var(txn.twice)", THE_LOG),
    broken("the log shows every path", r"(set-var\(txn\.shown_path\) path),bytes\(0,500\) if .*", r"\1", THE_LOG),
    # What is nobody's.
    gone("http-request auth realm statistics", "statistics without a password", "statistics with a wrong password"),
    broken(
        "statistics that change things",
        "^( +stats enable)$",
        r"\1\n    stats admin if TRUE",
        "a server put out of service",
    ),
    broken("figures for the network", r"bind 127\.0\.0\.1:8404", "bind :8404", "health and figures from the network"),
    broken(
        "the tables for the network",
        r"peer edge 127\.0\.0\.1:10000",
        "peer edge :10000",
        "the table of deliveries from the network",
    ),
]

EXEMPT = {
    r"^bind :|acl from_github always_false|tune.stick-counters": "keeps nobody out by itself",
    r"set-var\(txn\.(verdict|length|now|left|once|twice|signature)\)": "a value; its users are broken themselves",
    r"flooding": "how a flood ends whose calls the limit itself refuses",
    r"table people|busy-source|sc1_conn_cur gt 200": "seen only with two hundred calls under way",
    r"set-log-level silent": "how much is written under a flood, not whom it keeps out",
    r"X-Request-Id": "a name for the log's lines",
    r"maxconn": "what the machine can bear; under a test's load it is not reached",
    r"timeout (connect|server 60s|server 1h|tunnel|queue|client|client-fin|http-request [35]s)": "too long to wait for",
    r"option (dontlognull|http-ignore-probes|idle-close-on-response)": "not for keeping anybody out",
    r"hook-late|lt 500": "the rest of a delivery's ten seconds: seen only by a test as slow as that",
    r"prometheus-exporter|monitor-uri|return status 404$|/metrics/certificate": "of the container's own listener",
    r"^stick-table": "what limits count in; the limits are broken themselves, and test_edge_people.py reloads",
    r"^\.if|^\.alert": "without a key or secret HAProxy does not start at all (tests/engine/test_edge_hooks.py)",
    r"^server ": "where Kestra is",
    r"shown_path\) str\(": "what is shown instead of a path; the rule that shows one is broken itself",
}
"""Rules that no mutation breaks (pattern), each with the reason."""
