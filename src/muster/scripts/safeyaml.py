# SPDX-License-Identifier: Apache-2.0
"""YAML that others wrote: safe types, no aliases, nothing that JSON cannot hold."""

import math
import re

import yaml

# PostgreSQL holds neither NUL nor half surrogate pairs in text.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Loader(yaml.SafeLoader):
    """Safe types only, and no aliases: they can make a page of text expand without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias where it stands."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


def is_plain(value: object) -> bool:
    """Whether JSON can hold it: what is read goes into the database and over the wire."""
    if isinstance(value, dict):
        return all(is_plain(k) and isinstance(k, str) and is_plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    if isinstance(value, str):
        return not _UNSTORABLE.search(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int)
