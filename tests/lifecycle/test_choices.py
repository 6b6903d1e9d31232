"""Which image a machine is started with, and why."""

from pathlib import Path

import pytest
from rack import Rack

from muster.images import importing
from muster.images.library import Library
from muster.images.manifest import Manifest
from muster.lifecycle import choices, commission, tags
from muster.lifecycle.choices import Wish
from muster.lifecycle.enlist import BootPlan
from muster.store.engine import Missing
from muster.wire.codec import BadMessage


@pytest.fixture
def noble(library: Library, tmp_path: Path) -> Manifest:
    return stock(library, tmp_path, "noble", "amd64")


def stock(library: Library, folder: Path, release: str, arch: str) -> Manifest:
    files = {}
    for name in ("kernel", "initrd", "squashfs"):
        files[name] = folder / f"{release}-{arch}-{name}"
        files[name].write_text(f"{release} {arch} {name}")
    return importing.import_files(library, files, release=release, arch=arch, kernel="6.8")


@pytest.fixture
def machine(rack: Rack) -> str:
    """A machine with the tags gpu and zebra that shall be commissioned."""
    _, welcome = rack.arrive()
    rack.finish(welcome)
    for tag in ("gpu", "zebra"):
        tags.by_hand(rack.store, tag, add=[welcome.machine], remove=[], actor="eve", now=rack.now())
    commission.start(
        rack.store, rack.policy, welcome.machine, commission.Options(), actor="eve", now=rack.now()
    )
    return str(welcome.machine)


def choose(rack: Rack, wish: Wish, *, machine: str = "", tag: str = "") -> None:
    if machine:
        choices.choose_for_machine(
            rack.store, rack.library, machine, wish, actor="eve", now=rack.now()
        )
    else:
        choices.choose_for_tag(rack.store, rack.library, tag, wish, actor="eve", now=rack.now())


def why(rack: Rack, plan: BootPlan) -> str:
    return str(rack.marks(plan.boot)[-1][2])


def test_without_a_choice_a_machine_starts_the_image_in_use(rack: Rack, machine: str) -> None:
    plan = rack.boot()
    assert plan.image == rack.library.in_use()
    assert why(rack, plan).endswith("(bookworm), the one in use")


def test_a_tag_chooses_for_its_machines_and_the_first_by_name_counts(
    rack: Rack, machine: str, noble: Manifest
) -> None:
    choose(rack, Wish(image="bookworm", kernel_options="b=2"), tag="zebra")
    choose(rack, Wish(image="noble", kernel_options="a=1", datasource="maas"), tag="gpu")
    plan = rack.boot()
    assert (plan.image, plan.kernel_options, plan.datasource) == (noble, "b=2 a=1", "maas")
    assert why(rack, plan).endswith(f"image {noble.id[:12]} ({noble.origin}), chosen for tag gpu")


def test_a_machines_own_choice_counts_most_and_its_options_come_last(
    rack: Rack, machine: str, noble: Manifest
) -> None:
    choose(rack, Wish(image="noble", kernel_options="quiet"), tag="gpu")
    choose(rack, Wish(image="bookworm", kernel_options="debug"), machine=machine)
    plan = rack.boot()
    assert plan.image == rack.library.in_use()
    assert plan.kernel_options == "quiet debug"
    assert why(rack, plan).endswith("chosen for this machine")
    choose(rack, Wish(), machine=machine)
    assert rack.boot().image == noble


def test_a_deleted_tag_chooses_no_more(rack: Rack, machine: str, noble: Manifest) -> None:
    choose(rack, Wish(image="noble"), tag="gpu")
    tags.delete(rack.store, "gpu", actor="eve", now=rack.now())
    assert rack.told("tag.deleted") == [
        "tag gpu was deleted; 1 machines had it and were started as it chose"
    ]
    tags.by_hand(rack.store, "gpu", add=[machine], remove=[], actor="eve", now=rack.now())
    assert rack.boot().image == rack.library.in_use()


def test_a_tag_that_only_adds_an_option_leaves_the_image_to_others(
    rack: Rack, machine: str, noble: Manifest
) -> None:
    choose(rack, Wish(kernel_options="iommu=off"), tag="gpu")
    choose(rack, Wish(image="noble"), tag="zebra")
    plan = rack.boot()
    assert (plan.image, plan.kernel_options) == (noble, "iommu=off")


def test_a_release_means_its_newest_image_of_the_machines_architecture(
    rack: Rack, machine: str, noble: Manifest, tmp_path: Path
) -> None:
    stock(rack.library, tmp_path, "noble", "arm64")
    choose(rack, Wish(image="noble"), machine=machine)
    assert rack.boot().image == noble


def test_each_architecture_has_its_own_image_in_use(rack: Rack, tmp_path: Path) -> None:
    arm = stock(rack.library, tmp_path, "noble", "arm64")
    first = rack.library.in_use()
    assert rack.library.current("arm64") is None
    rack.library.use(arm.id)
    assert rack.library.current("arm64") == arm
    assert rack.library.in_use() == first
    assert rack.library.in_use_by_any() == {arm.id, first.id}


def test_a_chosen_image_that_is_gone_is_named_as_the_reason(
    rack: Rack, machine: str, noble: Manifest
) -> None:
    choose(rack, Wish(image=noble.id), machine=machine)
    rack.library.remove(noble.id)
    plan = rack.boot()
    assert (plan.nonce, plan.image) == ("", None)
    assert plan.reason.startswith(f"no image {noble.id} for amd64: there are bookworm")
    assert plan.reason.endswith("(chosen for this machine)")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish(image="jammy"), "image: no image jammy: there are bookworm"),
        (Wish(image="../current"), "image: no image ../current"),
        (Wish(kernel_options="root=/dev/sda"), "'root=/dev/sda' is set by muster for each boot"),
        (Wish(kernel_options="muster.report=http://x"), "is set by muster for each boot"),
        (Wish(kernel_options="a=$b"), "kernel_options: has '$'"),
        (Wish(kernel_options="a\nb"), r"kernel_options: has '\n'"),
        (Wish(kernel_options="a || b"), "kernel_options: has '|'"),
        (Wish(kernel_options="a" * 1001), "is longer than 1000 characters"),
        (Wish(datasource="ec2"), "datasource: is nocloud, maas, or empty"),
    ],
)
def test_what_no_loader_could_pass_on_is_refused(rack: Rack, wish: Wish, told: str) -> None:
    with pytest.raises(BadMessage) as refused:
        choose(rack, wish, tag="gpu")
    assert told in str(refused.value)


def test_a_choice_for_nobody_is_refused(rack: Rack) -> None:
    with pytest.raises(Missing):
        choose(rack, Wish(kernel_options="quiet"), machine="nobody")
