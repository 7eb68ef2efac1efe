"""Serve the lab's GitHub. What it is told stands in the environment."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import waitress
from flask import Flask

from . import api, control, routes, smart_http
from .deliveries import Courier
from .description import Description
from .objects import Objects
from .server import Server
from .store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PORT = 8080
THREADS = 16


def application(server: Server) -> Flask:
    """Return the whole as one WSGI application."""
    assert routes  # noqa: S101 (importing them has registered them)
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    api.serve(app, server)
    control.serve(app, server)
    smart_http.serve(app, server)
    api.refuse_the_rest(app, server)
    inner = app.wsgi_app

    def outer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["PATH_INFO"] = api.by_id(server, environ["PATH_INFO"])
        return inner(environ, start_response)

    app.wsgi_app = outer  # type: ignore[method-assign]
    return app


def main() -> None:
    """Serve until the container stops."""
    env = os.environ
    store = Store(Path(env.get("STATE", "/var/lib/github")))
    description = Description(Path(__file__).resolve().parent.parent / "description.json")
    server = Server(
        store=store,
        description=description,
        objects=Objects(description, env.get("PUBLIC_URL", "http://github:8080"), env.get("SSH_HOST", "github")),
        courier=Courier(store, env.get("CONNECT_TO", ""), env.get("CA_CERTIFICATE")),
        host_keys=[env["HOST_KEY"]] if "HOST_KEY" in env else [],
    )
    print(f"serving GitHub's API {description.version} on port {PORT}", flush=True)
    waitress.serve(application(server), listen=f"*:{PORT}", threads=THREADS, ident="github.com")


if __name__ == "__main__":
    main()
