"""XPath over lshw's tree: answers with their reason, and nothing that a person or machine writes

makes it slow, large or wrong.
"""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.lifecycle.xpath import EXPRESSION_LIMIT, BadXPath, TooSlow, XPath, read_tree

TREE = read_tree(b"""<?xml version="1.0" standalone="yes" ?>
<list>
<node id="rack9" class="system">
 <product>Rack 9000</product>
 <node id="core" class="bus">
  <node id="cpu:0" class="processor"><vendor>Intel Corp.</vendor></node>
  <node id="memory" class="memory"><size units="bytes">8589934592</size></node>
  <node id="network:0" class="network"><description>Ethernet interface</description>
   <configuration><setting id="driver" value="ixgbe" /></configuration></node>
 </node>
</node>
</list>
""")


@pytest.mark.parametrize(
    ("text", "holds", "because"),
    [
        ("//node[@class='processor']", True, "lshw has node cpu:0"),
        ("//setting[@id='driver' and @value='ixgbe']", True, "lshw has setting driver"),
        ("//node[@id='network:0']", True, "lshw has node network:0 (Ethernet interface)"),
        ("//node[@class='display']", False, "lshw has no such node"),
        ("//size[@units='bytes'] > 4294967296", True, "it is true of lshw's tree"),
        ("count(//node) = 5", True, "it is true of lshw's tree"),
        ("string(/list/node/product)", True, "it is 'Rack 9000'"),
        ("number(//vendor)", False, "it is no number"),
        ("''", False, "it is ''"),
        ("//node/@id", True, "lshw has 'rack9'"),
    ],
)
def test_an_expression_is_answered_as_boolean_of_xpath_does(
    text: str, holds: bool, because: str
) -> None:
    verdict = XPath(text).ask(TREE)
    assert (verdict.holds, verdict.because) == (holds, because)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("//node[", "unexpected end"),
        ("", "one line of text"),
        ("//a\n|//b", "one line of text"),
        ("x" * (EXPRESSION_LIMIT + 1), "the limit is 2000"),
        ("(" * 900 + "1" + ")" * 900, "nested too deeply"),
        ("document('/etc/passwd')", "unknown function"),
        ("doc('file:///etc/passwd')", "unknown function"),
        ("environment-variable('HOME')", "unknown function"),
        ("//lldp:chassis", "prefix 'lldp' is not declared"),
        ("contains(//node)", "Too few arguments"),
    ],
)
def test_a_bad_expression_is_refused_when_it_is_written(text: str, why: str) -> None:
    with pytest.raises(BadXPath, match=why):
        XPath(text)


def test_what_only_the_tree_shows_to_be_wrong_is_told_too() -> None:
    with pytest.raises(BadXPath, match="unknown variable"):
        XPath("$wanted").ask(TREE)


def test_an_expression_that_would_take_ages_ends_at_the_limit() -> None:
    nested = "//*[count(//*[count(//*[count(//*[count(//*)>1])>1])>1])>1000]"
    ticks = itertools.count()
    with pytest.raises(TooSlow, match="make it simpler"):
        XPath(nested).ask(TREE, within_s=1000, clock=lambda: float(next(ticks)))
    assert next(ticks) == 1002


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), "document type|not XML"),
        (b"<a>", "not XML"),
        (b"", "not XML"),
        (b"<a>" + b" " * 5_000_000 + b"</a>", "the limit is"),
    ],
)
def test_a_hostile_tree_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadXPath, match=why):
        read_tree(raw)


def test_a_tree_without_end_in_depth_does_no_harm() -> None:
    deep = read_tree(b"<a>" * 50_000 + b"</a>" * 50_000)
    with contextlib.suppress(BadXPath):
        assert XPath("//a[not(*)]").ask(deep).holds


@given(st.text(alphabet="/*[]()@'\"=<>|+- .:$1anode,", max_size=60))
def test_whatever_is_written_gives_an_answer_or_a_reason(text: str) -> None:
    with contextlib.suppress(BadXPath):
        verdict = XPath(text).ask(TREE, within_s=0.2)
        assert verdict.holds in (True, False)
        assert verdict.because.isprintable()
