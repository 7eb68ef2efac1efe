"""The table of attacks, by subject: what each is called, how it is done, what the edge must say, and what may pass."""

from tests.edge.table import (
    bodies,
    floods,
    hosts,
    http2,
    methods,
    paths,
    replay,
    signatures,
    slow,
    smuggling,
    tls,
    told,
)
from tests.edge.table.row import Row

ROWS: list[Row] = [
    row
    for subject in (signatures, methods, paths, bodies, smuggling, http2, replay, hosts, tls, told, slow, floods)
    for row in subject.ROWS
]
