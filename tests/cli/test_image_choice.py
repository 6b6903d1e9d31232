"""`muster image choose` and `chosen`."""

import pytest
from tests.api.test_filtering import enlist
from tests.cli.conftest import Person


@pytest.mark.slow
def test_a_person_chooses_images_for_machines_and_tags(person: Person) -> None:
    enlist(person.desk, 1)
    assert "the one in use" in person.gets("image", "chosen", "m01")
    person.gets("tag", "add", "old", "m01")
    person.gets("image", "choose", "--tag", "old", "--image", "bookworm")
    assert "bookworm" in person.gets("image", "chosen")
    assert "chosen for tag old" in person.gets("image", "chosen", "m01")
    told = person.gets("image", "choose", "m01", "--kernel-options=iommu=off quiet")
    assert "kernel options: iommu=off quiet" in told
    assert "there are bookworm" in person.told_no("image", "choose", "m01", "--image", "jammy")
    assert "for which machine" in person.told_no("image", "choose", "--image", "bookworm")
    person.gets("image", "choose", "m01")
    assert "kernel options: none" in person.gets("image", "chosen", "m01")
