"""Everything that a page can do, the API and the command line can do too."""

import re
from collections.abc import Iterator
from pathlib import Path

from litestar import Litestar

import muster.__main__ as gatepost
from muster.images.library import Library
from muster.lifecycle.keyring import Keyring
from muster.lifecycle.policy import Policy
from muster.server.app import application
from muster.store.engine import Store
from muster.web.acting import VERBS

# POST of a page: operations of the API, commands. Those that only look or ask again have none.
SAME = {
    "/machines/confirm": (),
    "/machines/act": (),
    "/machines/{reference}/power": ("PUT /machines/{reference}/power", "power-driver"),
    "/machines/{reference}/notes": (
        "POST /machines/{reference}/notes", "DELETE /notes/{note}", "machine"),
    "/results/{number}/suppress": ("POST /results/{result}/suppress", "suppress"),
    "/clashes/{number}": ("POST /clashes/{clash}/decide", "POST /clashes/{clash}/undo", "clash"),
    "/topology/manifest": ("POST /manifest/import", "manifest"),
    "/topology/manifest/rows": (
        "POST /manifest/apply", "DELETE /manifest/rows/{key}", "manifest"),
    "/views": ("PUT /views/{view}", "DELETE /views/{view}", "view"),
    "/tags": ("PUT /tags/{tag}", "DELETE /tags/{tag}", "tag"),
    "/rules": ("PUT /rules/{rule}", "rule"),
    "/rules/-/lint": (),
    "/rules/{rule}": ("POST /rules/{rule}/enable", "POST /rules/{rule}/disable",
                      "DELETE /rules/{rule}", "rule"),
    "/rules/{rule}/dry-run": ("POST /rules/{rule}/dry-run", "rule"),
    "/profiles/-/new": (),
    "/profiles/-/learn": ("POST /profiles/{profile}/learn", "profile"),
    "/profiles/{profile}": ("PUT /profiles/{profile}", "DELETE /profiles/{profile}", "profile"),
    "/scripts": ("POST /scripts", "script"),
    "/scripts/lint": ("script",),
    "/scripts/{name}/use": ("PATCH /scripts/{name}", "script"),
    # A try is a virtual machine on the host where the command is typed: no operation of the API.
    "/scripts/-/try": ("script",),
    "/scripts/-/try/{key}": ("script",),
    "/power/scan": ("POST /bmcs/scan", "bmc"),
    "/power/hosts": ("POST /hosts", "host"),
    "/power/hosts/{reference}": (
        "POST /hosts/{reference}/refresh", "POST /hosts/{reference}/machines",
        "POST /hosts/{reference}/instances", "DELETE /hosts/{reference}/instances/{instance}",
        "DELETE /hosts/{reference}", "host"),
    "/settings": ("POST /users", "PATCH /users/{person}", "DELETE /users/{person}", "POST /keys",
                  "DELETE /keys/{key}", "user", "key"),
    "/sign-in": ("POST /login", "login"),
    "/sign-out": ("POST /logout", "logout"),
    "/theme": (),
}  # fmt: skip

OTHER_DOORS = ("/api/", "/agent/", "/boot/", "/metadata/")

OF_VERB = {
    "commission": ("POST /machines/{reference}/commission", "commission"),
    "test": ("POST /machines/{reference}/test", "test"),
    "abort": ("POST /machines/{reference}/abort", "abort"),
    "accept": ("POST /machines/{reference}/accept", "accept"),
    "deny": ("POST /machines/{reference}/deny", "deny"),
    "tag": ("POST /tags/{tag}/machines", "tag"),
    "untag": ("POST /tags/{tag}/machines", "tag"),
    "pool": ("PATCH /machines/{reference}", "machine"),
    "on": ("POST /machines/{reference}/power", "power"),
    "off": ("POST /machines/{reference}/power", "power"),
    "cycle": ("POST /machines/{reference}/power", "power"),
    "rename": ("PATCH /machines/{reference}", "rename"),
    "override": ("POST /machines/{reference}/override", "override"),
    "delete": ("DELETE /machines/{reference}", "delete"),
}


def house(folder: Path) -> Litestar:
    store = Store(f"sqlite:///{folder}/muster.db")
    keyring = Keyring(folder / "secrets.key")
    return application(store, Policy(), Library(folder), keyring=keyring)


def operations(app: Litestar, method: str) -> Iterator[str]:
    """Paths that are answered to `method`; parameters by their names only."""
    for route in app.routes:
        if method in getattr(route, "methods", ()):
            yield re.sub(r"{([a-z_]+):[a-z]+}", r"{\1}", route.path)


def test_every_action_of_a_page_is_an_operation_of_the_api_and_a_command(tmp_path: Path) -> None:
    app = house(tmp_path)
    actions = {path for path in operations(app, "POST") if not path.startswith(OTHER_DOORS)}
    assert actions == SAME.keys(), "a new action: name its operation and its command here"
    assert OF_VERB.keys() == VERBS.keys()
    known = {f"{method} {path.removeprefix('/api/v1')}"
             for method in ("POST", "PUT", "PATCH", "DELETE")
             for path in operations(app, method)}  # fmt: skip
    wanted = {word for words in (*SAME.values(), *OF_VERB.values()) for word in words}
    assert sorted(wanted - known - set(gatepost.app)) == []
