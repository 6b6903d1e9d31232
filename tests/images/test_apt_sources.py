from pathlib import Path

import pytest

from muster.images import recipe, sources
from muster.images.errors import SourcesError
from muster.images.recipe import builder_digest, recipe_for

ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb http://mirror.example/debian bookworm main non-free-firmware # ours
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm main
deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/debian bookworm stable
deb https://pg.example/apt bookworm-pgdg main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
"""

DEB822 = """\
Types: deb deb-src
# a comment in the middle of a stanza
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main contrib

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://node.example/node_20.x
Suites: nodistro
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "apt" / "sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    return tmp_path


def test_one_line_sources_keep_the_distribution_and_nothing_else(etc: Path) -> None:
    (etc / "apt" / "sources.list").write_text(ONE_LINE)
    codename, own = sources.read(etc)
    assert codename == "bookworm"
    assert [(one.uris, one.suites, one.components) for one in own] == [
        (("http://mirror.example/debian",), ("bookworm",), ("main", "non-free-firmware")),
        (("http://mirror.example/debian",), ("bookworm-updates",), ("main",)),
    ]
    assert own[1].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_deb822_sources_keep_the_distribution_and_nothing_else(etc: Path) -> None:
    (etc / "apt" / "sources.list.d" / "debian.sources").write_text(DEB822)
    _codename, own = sources.read(etc)
    assert [(one.uris, one.suites, one.components) for one in own] == [
        (("http://mirror.example/debian",), ("bookworm", "bookworm-updates"), ("main",)),
        (("http://mirror.example/debian-security",), ("bookworm-security",), ("main", "contrib")),
    ]


def test_another_suite_comes_from_the_same_mirrors_with_its_updates(etc: Path) -> None:
    (etc / "apt" / "sources.list.d" / "debian.sources").write_text(DEB822)
    codename, own = sources.read(etc)
    swapped = sources.swap_suite(own, codename, "trixie")
    assert [suite for one in swapped for suite in one.suites] == [
        "trixie",
        "trixie-updates",
        "trixie-security",
    ]
    assert [one.uris for one in swapped] == [one.uris for one in own]


def test_what_is_written_for_the_build_is_read_back_the_same(etc: Path) -> None:
    own = sources.parse_deb822(DEB822)
    text = "\n".join(one.stanza() for one in own)
    assert sources.parse_deb822(text) == own


def test_a_machine_without_a_mirror_is_told_what_to_add(etc: Path) -> None:
    (etc / "apt" / "sources.list").write_text("deb https://docker.example/ bookworm stable\n")
    with pytest.raises(SourcesError, match="add the distribution's mirror"):
        sources.read(etc)


def test_a_machine_that_is_not_debian_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SourcesError, match="Debian and Ubuntu"):
        sources.read(tmp_path)


def test_a_bookworm_machine_builds_trixie_unless_told_otherwise(etc: Path) -> None:
    (etc / "apt" / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert recipe_for(etc=etc).suite == "trixie"
    assert recipe_for("bookworm", etc=etc).suite == "bookworm"
    with pytest.raises(SourcesError, match="cannot build noble on a bookworm machine"):
        recipe_for("noble", etc=etc)


def test_an_image_is_for_this_machine_s_architecture_or_for_the_one_that_is_named(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (etc / "apt" / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    monkeypatch.setattr(recipe.platform, "machine", lambda: "x86_64")
    assert recipe_for(etc=etc).arch == "amd64"
    arm = recipe_for(arch="arm64", etc=etc)
    assert (arm.suite, arm.arch, "linux-image-arm64" in arm.packages) == ("trixie", "arm64", True)
    assert arm.digest != recipe_for(etc=etc).digest
    for words, told in (
        ({"arch": "riscv64"}, "cannot build for riscv64: images are amd64, arm64"),
        ({"suite": "bookworm", "arch": "arm64"}, "bookworm for arm64: it has no iPXE"),
    ):
        with pytest.raises(SourcesError, match=told):
            recipe_for(**words, etc=etc)
    (etc / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    (etc / "apt" / "sources.list").write_text("deb http://mirror.example/ubuntu noble main\n")
    with pytest.raises(SourcesError, match="cannot build arm64 on this Ubuntu machine"):
        recipe_for(arch="arm64", etc=etc)


def test_firmware_is_taken_from_a_component_that_the_machine_itself_may_not_have(etc: Path) -> None:
    path = etc / "apt" / "sources.list"
    path.write_text("deb http://mirror.example/debian bookworm main\n")
    found = recipe_for(etc=etc)
    assert found.sources[0].components == ("main", "non-free-firmware")
    assert {"firmware-bnx2", "firmware-qlogic", "firmware-intel-misc"} <= set(found.firmware)
    assert "firmware-intel-misc" not in recipe_for("bookworm", etc=etc).firmware
    # It is read and not installed.
    assert not any(name.startswith("firmware-") for name in found.packages)
    path.write_text("deb http://mirror.example/debian bookworm main non-free-firmware contrib\n")
    both = recipe_for(etc=etc).sources[0].components
    assert both == ("main", "non-free-firmware", "contrib")


def test_without_firmware_the_sources_are_the_machine_s_own(etc: Path) -> None:
    (etc / "apt" / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    found = recipe_for(firmware=False, etc=etc)
    assert (found.firmware, found.sources[0].components) == ((), ("main",))
    assert found.digest != recipe_for(etc=etc).digest


def test_a_recipe_is_the_same_until_something_in_it_changes(etc: Path) -> None:
    path = etc / "apt" / "sources.list"
    path.write_text("deb http://mirror.example/debian bookworm main\n")
    first = recipe_for(etc=etc).digest
    assert recipe_for(etc=etc).digest == first
    path.write_text("deb http://other.example/debian bookworm main\n")
    assert recipe_for(etc=etc).digest != first


def test_a_changed_init_script_is_another_recipe(tmp_path: Path) -> None:
    (tmp_path / "files" / "initrd").mkdir(parents=True)
    init = tmp_path / "files" / "initrd" / "init"
    init.write_text("#!/bin/sh\n")
    before = builder_digest(tmp_path)
    init.write_text("#!/bin/sh\ntrue\n")
    assert builder_digest(tmp_path) != before
