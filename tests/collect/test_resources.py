"""Reading of the documents that the collector, and others, write."""

import json

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from muster.wire import resources
from muster.wire.hardware import Disk, Firmware
from muster.wire.peripherals import Health
from muster.wire.resources import BadDocument, DiskSummary, NicSummary, read_document, summary
from muster.wire.section import plain
from muster.wire.slots import Tpm


def encoded(found: object, **more: object) -> bytes:
    return json.dumps({"api_version": "1.0", "resources": found, **more}).encode()


def test_lxd_own_answer_is_read_and_summed_up() -> None:
    found = summary(read_document(encoded(trees.answer_of_lxd("qemu-rich-guest"))))
    assert (found.cpu_count, found.cores, found.sockets) == (4, 4, 2)
    assert found.cpu_model == "AMD EPYC-Milan Processor"
    assert found.memory_bytes == 2 << 30
    assert (found.vendor, found.product, found.serial) == ("Acme", "Rack9000", "SN0001")
    assert found.uuid == "12345678-1234-5678-9abc-123456789abc"
    assert found.virtual
    assert len(found.disks) == 33
    assert DiskSummary("sdaa", "FakeSATA", "SATASER01", 104857600, rotational=True) in found.disks
    assert found.nics[0] == NicSummary("enp0s7", "52:54:00:12:34:01", 0, link=False)


def test_unknown_keys_stay_in_the_raw_document() -> None:
    read = read_document(encoded({"npu": [1]}, **{"machine-extra": {"platform": "x"}}))
    assert read.raw["machine-extra"] == {"platform": "x"}
    assert read.raw["resources"] == {"npu": [1]}


def test_go_writes_empty_lists_and_objects_as_null() -> None:
    found = {
        "network": {"cards": [{"ports": None, "sriov": {"vfs": None}}], "total": 1},
        "usb": {"devices": [{"interfaces": None}], "total": 1},
        "system": {"firmware": None, "chassis": None, "motherboard": None},
        "cpu": {"sockets": None},
        "gpu": {"cards": None, "total": 0},
    }
    networks = {"br0": {"bridge": {"upper_devices": None}, "bond": {"lower_devices": None}}}
    read = read_document(encoded(found, networks=networks, environment=None))
    assert read.resources.network.cards[0].ports == []
    assert read.resources.system.firmware is None
    assert read.resources.gpu.cards == []
    assert read.networks["br0"].bridge is not None
    assert read.networks["br0"].bridge.upper_devices == []
    assert read.environment == {}


@pytest.mark.parametrize(
    ("found", "path", "why"),
    [
        ({"cpu": {"total": "4"}}, "$.resources.cpu.total", "must be int, not str"),
        ({"cpu": {"total": True}}, "$.resources.cpu.total", "must be int, not bool"),
        ({"cpu": {"total": 1.5}}, "$.resources.cpu.total", "must be int, not float"),
        ({"cpu": {"total": -1}}, "$.resources.cpu.total", "-1 is outside 0 to 2^64-1"),
        ({"cpu": None}, "$.resources.cpu", "must be an object, not null"),
        ({"cpu": {"sockets": {}}}, "$.resources.cpu.sockets", "must be a list, not dict"),
        (
            {"storage": {"disks": [{"id": "a"}, {"size": 1}]}},
            "$.resources.storage.disks[1].id",
            "is missing",
        ),
        ({"gpu": []}, "$.resources.gpu", "must be an object, not list"),
        (
            {"gpu": {"cards": [{"mdev": []}]}},
            "$.resources.gpu.cards[0].mdev",
            "must be an object, not list",
        ),
        (
            {"load": {"Average1Min": 1 << 70}},
            "$.resources.load.Average1Min",
            "is larger than 2^64-1",
        ),
        ({"load": {"Average1Min": "1"}}, "$.resources.load.Average1Min", "must be float, not str"),
        ([], "$.resources", "must be an object, not list"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(found: object, path: str, why: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read_document(encoded(found))
    assert (caught.value.path, caught.value.why) == (path, why)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not JSON"),
        (b"[1]", "must be an object, not list"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "is not JSON"),
        (b"[" * 100000, "nested too deeply"),
        (b'{"api_version": "1.0\xff"}', "is not JSON"),
        (b'{"api_version": "2.0", "resources": {}}', "is '2.0', must be '1.0'"),
        (b'{"resources": {}}', "is missing"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadDocument, match="resources document: ") as caught:
        read_document(data)
    assert why in str(caught.value)


def test_a_document_over_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "DOCUMENT_LIMIT", 10)
    with pytest.raises(BadDocument, match="11 bytes, the limit is 10"):
        read_document(b" " * 11)


def test_a_size_that_no_database_holds_is_named() -> None:
    read = read_document(encoded({"storage": {"disks": [{"id": "sda", "size": 1 << 63}]}}))
    with pytest.raises(BadDocument, match=r"storage\.disks\[0\]\.size: 9223372036854775808"):
        summary(read)


def test_texts_of_a_summary_are_short_and_storable() -> None:
    found = {"system": {"vendor": "A\0\ud800\nB " + "x" * 300, "type": "unknown"}}
    read = summary(read_document(encoded(found)))
    assert read.vendor == "AB " + "x" * 250
    assert not read.virtual


def test_a_mixed_machine_has_no_single_model() -> None:
    found = {"cpu": {"sockets": [{"name": "A"}, {"name": "B"}]}}
    assert summary(read_document(encoded(found))).cpu_model == ""


def test_empty_fields_are_left_out_where_lxd_leaves_them_out() -> None:
    told = plain(Disk(id="sda", rotational=False))
    assert isinstance(told, dict)
    assert told["rotational"] is False
    assert told["device_id"] == ""
    assert "wwn" not in told
    assert plain(Health("sda", media_errors=0)) == {"disk": "sda", "media_errors": 0}
    assert plain({"a": [Firmware()]}) == {"a": [{"vendor": "", "date": "", "version": ""}]}


def test_an_extra_of_our_schema_is_read_and_another_s_left_alone() -> None:
    ours = {"schema": "muster.extra/1", "tpm": {"present": True}, "new": 1}
    read = read_document(encoded({}, extra=ours))
    assert read.extra is not None
    assert read.extra.tpm == Tpm(present=True)
    assert read.raw["extra"] == ours
    for other in ({"schema": "muster.extra/9", "tpm": 1}, {"tpm": 1}, None, [1]):
        assert read_document(encoded({}, extra=other)).extra is None


def test_a_broken_extra_of_our_schema_is_named_by_its_path() -> None:
    with pytest.raises(BadDocument, match=r"\$\.extra\.tpm\.present: must be bool, not int"):
        read_document(encoded({}, extra={"schema": "muster.extra/1", "tpm": {"present": 1}}))


def test_shapes_are_compared_and_shown_by_their_fields() -> None:
    assert Tpm(device="tpm0") == Tpm(device="tpm0")
    assert Tpm(device="tpm0") != Tpm()
    assert "'device': 'tpm0'" in repr(Tpm(device="tpm0"))


TEXT = st.text("az09 .\0\n\ud800\u00e9", max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.sampled_from(["cpu", "memory", "network", "storage", "system", "usb"])
KEYS = st.sampled_from(["sockets", "nodes", "cards", "disks", "total", "firmware", "cores", "id"])


@given(st.dictionaries(SECTIONS, st.dictionaries(KEYS, JSON) | JSON))
def test_any_json_is_read_or_refused_by_name(found: dict[str, object]) -> None:
    path = "$.resources"
    try:
        summary(read_document(encoded(found)))
    except BadDocument as error:
        path = error.path
    assert path.startswith("$.resources")


def test_what_has_no_shape_is_read_as_it_is() -> None:
    found = {"network": {"cards": [{"sriov": {"vfs": [{"driver": ["any", 1]}]}}]}}
    (card,) = read_document(encoded(found)).resources.network.cards
    assert card.sriov is not None
    assert card.sriov.vfs == [{"driver": ["any", 1]}]


def test_a_map_is_a_map_and_a_number_is_finite() -> None:
    with pytest.raises(BadDocument, match=r"\$\.networks: must be an object, not list"):
        read_document(encoded({}, networks=[]))
    # JSON has no infinity, and Python reads 1e999 as one.
    huge = encoded({"load": {"Average1Min": 7}}).replace(b"7", b"1e999")
    with pytest.raises(BadDocument, match=r"Average1Min: is larger than 2\^64-1"):
        read_document(huge)
