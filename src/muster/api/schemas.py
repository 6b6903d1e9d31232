# SPDX-License-Identifier: Apache-2.0
"""Schemas of documents that machines send, for programs that read them."""

from litestar import Response, get

from muster.store.people import User
from muster.wire import schema


@get("/schemas/resources", sync_to_thread=False, media_type="application/json")
def resources_schema(user: User) -> Response[bytes]:
    """JSON Schema (draft 2020-12) of a machine's resources document."""
    return Response(schema.text().encode(), media_type="application/json")


ROUTES = [resources_schema]
