# SPDX-License-Identifier: Apache-2.0
"""Schemas of documents that machines send, for programs that read them."""

from litestar import get

from muster.store.people import User
from muster.wire import schema


@get("/schemas/resources", sync_to_thread=False)
def resources_schema(user: User) -> dict[str, object]:
    """JSON Schema (draft 2020-12) of a machine's resources document."""
    return schema.json_schema()


ROUTES = [resources_schema]
