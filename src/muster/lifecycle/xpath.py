# SPDX-License-Identifier: Apache-2.0
"""Asks a machine's lshw tree a question in XPath 1.0: yes or no, and because of what. No I/O.

A person wrote the expression and a machine the tree; neither can make this slow, large or wrong:
texts are bounded, entities refused, and each step along the tree looks at a time limit.
elementpath (MIT, pure Python) walks every axis by methods of its context, which is what makes that
possible; libxml2's XPath cannot be stopped.
"""

import math
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

from elementpath import ElementPathError, XPath1Parser, XPathContext, XPathNode, XPathToken

from muster.machine.conditions import Verdict

EXPRESSION_LIMIT = 2000
"""Characters."""
TREE_LIMIT = 4 * 1024 * 1024
"""Bytes; lshw of a machine with 100 disks says 0.3 MiB."""
WITHIN_S = 1.0


class BadXPath(Exception):
    """An expression that cannot be used, or a tree; the message says why.

    No ValueError: elementpath makes errors of its own of those that are raised inside of it.
    """


class TooSlow(BadXPath):
    """The time limit was reached before the answer."""


class XPath:
    """One expression, checked; raises BadXPath."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > EXPRESSION_LIMIT:
            raise BadXPath(f"{len(text)} characters, the limit is {EXPRESSION_LIMIT}")
        if not text.isprintable() or not text.strip():
            raise BadXPath("must be one line of text")
        try:
            self._token: XPathToken = XPath1Parser().parse(text)
        except (ElementPathError, ValueError, TypeError, KeyError) as error:
            raise BadXPath(f"not XPath 1.0: {_reason(error)}") from error
        except RecursionError as error:
            raise BadXPath("nested too deeply") from error

    def ask(
        self,
        tree: ET.Element,
        *,
        within_s: float = WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> Verdict:
        """What boolean(EXPRESSION) is for this tree; raises BadXPath, TooSlow.

        Some expressions are found wrong only here, such as "not a number" + a node.
        """
        context = _Bounded(tree, clock, clock() + within_s)
        try:
            first = next(iter(self._token.select(context)), None)
        except (ElementPathError, ValueError, TypeError, OverflowError) as error:
            raise BadXPath(f"cannot be evaluated: {_reason(error)}") from error
        except RecursionError as error:
            raise BadXPath("nested too deeply") from error
        return _verdict(first)


class _Bounded(XPathContext):
    """The context of one question; every step of every axis looks at the clock."""

    def __init__(self, tree: ET.Element, clock: Callable[[], float], end: float) -> None:
        self._clock, self._end = clock, end
        super().__init__(ET.ElementTree(tree))

    def _timed(self, steps: Iterator[Any]) -> Iterator[Any]:
        for step in steps:
            if self._clock() > self._end:
                raise TooSlow("takes too long on this machine's tree; make it simpler")
            yield step

    def iter_self(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_self(*words))

    def iter_attributes(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_attributes(*words))

    def iter_children_or_self(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_children_or_self(*words))

    def iter_parent(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_parent(*words))

    def iter_siblings(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_siblings(*words))

    def iter_descendants(self, *words: Any, **more: Any) -> Iterator[Any]:
        return self._timed(super().iter_descendants(*words, **more))

    def iter_ancestors(self, *words: Any, **more: Any) -> Iterator[Any]:
        return self._timed(super().iter_ancestors(*words, **more))

    def iter_preceding(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_preceding(*words))

    def iter_followings(self, *words: Any) -> Iterator[Any]:
        return self._timed(super().iter_followings(*words))


def read_tree(raw: bytes) -> ET.Element:
    """lshw's XML; raises BadXPath."""
    if len(raw) > TREE_LIMIT:
        raise BadXPath(f"the tree has {len(raw)} bytes, the limit is {TREE_LIMIT}")
    # lshw writes none; it is where entities that expand without end are declared. Other encodings
    # than UTF-8 could hide it.
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw or b"\0" in raw[:4]:
        raise BadXPath("the tree has a document type or is not UTF-8, which lshw never writes")
    try:
        return ET.fromstring(raw)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise BadXPath(f"the tree is not XML: {error}") from error


def _verdict(first: Any) -> Verdict:
    """boolean() of XPath 1.0, section 4.3: a node, a number but 0 and NaN, a text but ""."""
    if isinstance(first, XPathNode):
        return Verdict(holds=True, because=f"lshw has {_told(first)}")
    if first is None:
        return Verdict(holds=False, because="lshw has no such node")
    if isinstance(first, float) and math.isnan(first):
        return Verdict(holds=False, because="it is no number")
    if isinstance(first, bool):
        return Verdict(holds=first, because=f"it is {'true' if first else 'false'} of lshw's tree")
    return Verdict(bool(first), f"it is {str(first)[:100]!r}")


def _told(node: XPathNode) -> str:
    """ "node network (Ethernet interface)", or what else was matched."""
    item: Any = node.value
    if not isinstance(item, ET.Element):
        return repr(str(item)[:100])
    name = " ".join(part for part in (item.tag, item.get("id", "")) if part)
    about = item.findtext("product") or item.findtext("description") or (item.text or "").strip()
    told = f"{name} ({about})" if about else name
    return "".join(c for c in told if c.isprintable())[:200]


def _reason(error: Exception) -> str:
    """elementpath's own words without its code and the expression's repr."""
    return str(error).rpartition("] ")[2][:300]
