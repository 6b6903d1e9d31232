import pytest
from rack import Rack

from muster.lifecycle import scripts, shelf
from muster.lifecycle.scripts import BadScript, Use
from muster.store.engine import Conflict, Missing


def source(title: str = "one", name: str = "mine") -> bytes:
    return (
        "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n"
        f"# name: {name}\n# title: {title}\n# tags: a, b\n# timeout: 60\n"
        "# --- End MAAS 1.0 script metadata ---\n"
    ).encode()


def offer(rack: Rack, name: str = "mine") -> shelf.Offer:
    with rack.store.read() as tx:
        return next(o for o in shelf.every(tx) if o.script.name == name)


def test_versions_follow_each_other_and_the_same_bytes_are_none(rack: Rack) -> None:
    for title, number in (("one", 1), ("two", 2), ("two", 2), ("one", 3)):
        kept = scripts.add(rack.store, source(title), actor="a", now=rack.now())
        assert (kept[0].title, kept[1]) == (title, number)
    assert offer(rack).script.title == "one"
    assert scripts.source(rack.store, "mine", 2) == source("two")
    assert scripts.source(rack.store, "mine") == source("one")
    with pytest.raises(Missing):
        scripts.source(rack.store, "mine", 9)


def test_everything_that_is_wrong_is_told_and_nothing_kept(rack: Rack) -> None:
    bad = source().replace(b"timeout: 60", b"timeout: soon").replace(b"title", b"tilte")
    with pytest.raises(BadScript) as caught:
        scripts.add(rack.store, bad, actor="a", now=rack.now())
    assert [problem.line for problem in caught.value.problems] == [4, 6]
    with pytest.raises(Missing):
        scripts.source(rack.store, "mine")


def test_what_users_change_holds_for_built_in_scripts_too(rack: Rack) -> None:
    scripts.add(rack.store, source(), actor="a", now=rack.now())
    for name in ("mine", "00-maas-01-lshw"):
        use = Use(enabled=False, tags=[], timeout_s=7)
        scripts.change(rack.store, name, use, actor="a", now=rack.now())
        found = offer(rack, name)
        assert (found.enabled, found.script.tags, found.script.timeout) == (False, (), 7)
        scripts.remove(rack.store, name, actor="a", now=rack.now())
    assert offer(rack, "00-maas-01-lshw").enabled
    with pytest.raises(StopIteration):
        offer(rack)


def test_a_disabled_script_is_not_run(rack: Rack) -> None:
    use = Use(enabled=False)
    scripts.change(rack.store, "99-maas-05-kernel-cmdline", use, actor="a", now=rack.now())
    with rack.store.read() as tx:
        names = [o.script.name for o in shelf.for_commission(tx, [])]
    assert "99-maas-05-kernel-cmdline" not in names
    assert "50-maas-01-commissioning" in names


def test_users_scripts_are_chosen_by_name_tag_or_all_but_noauto(rack: Rack) -> None:
    for name, tags in (("auto", ""), ("one", "# tags: x, noauto"), ("two", "# tags: x, noauto")):
        body = source(name=name).replace(b"# tags: a, b", tags.encode() or b"#")
        body = body.replace(b"# title", b"# script_type: commissioning\n# title")
        scripts.add(rack.store, body, actor="a", now=rack.now())

    def chosen(*wanted: str) -> list[str]:
        with rack.store.read() as tx:
            offers = shelf.for_commission(tx, list(wanted))
        return [o.script.name for o in offers if o.version]

    assert chosen() == ["auto"]
    assert chosen("x") == ["one", "two"]
    assert chosen("two") == ["two"]
    assert chosen("none") == []


def test_a_machine_nobody_accepted_runs_users_scripts_only_when_they_say_so(rack: Rack) -> None:
    for name, tags in (("plain", "a"), ("wanted", "enlisting"), ("bmc", "enlisting, bmc-config")):
        body = source(name=name).replace(b"tags: a, b", b"tags: " + tags.encode())
        body = body.replace(b"# title", b"# script_type: commissioning\n# title")
        scripts.add(rack.store, body, actor="a", now=rack.now())
    with rack.store.read() as tx:
        assert [o.script.name for o in shelf.for_enlist(tx) if o.version] == ["wanted"]


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (Use(timeout_s=-1), "is not between"),
        (Use(thresholds={"a": {}}), "must have min, max or both"),
        (Use(thresholds={"a": {"most": 1}}), "must have min, max or both"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(rack: Rack, use: Use, why: str) -> None:
    with pytest.raises(Conflict, match=why):
        scripts.change(rack.store, "00-maas-01-lshw", use, actor="a", now=rack.now())


def test_a_built_in_name_is_not_taken_over(rack: Rack) -> None:
    with pytest.raises(Conflict, match="is built in"):
        scripts.add(rack.store, source(name="00-maas-01-lshw"), actor="a", now=rack.now())
    with pytest.raises(Missing):
        scripts.remove(rack.store, "00-maas-01-lshw", actor="a", now=rack.now())
