import struct
from pathlib import Path

import pytest
import trees

from muster.collect import cpu, interfaces, memory, network, storage, system, tpm, writes
from muster.wire.hardware import AddressSizes, Cache
from muster.wire.networks import Bond, Bridge, Infiniband, Vlan


def test_a_core_is_told_by_its_threads_and_not_by_its_number(server: Path) -> None:
    found = cpu.probe(server)
    assert found.total == 4
    assert [socket.name for socket in found.sockets] == ["Xeon A", "Xeon B"]
    (core,) = found.sockets[1].cores
    assert [(t.id, t.thread, t.numa_node, t.online, t.isolated) for t in core.threads] == [
        (1, 0, 1, True, False),
        (3, 1, 1, False, True),
    ]
    assert (core.die, core.cluster, core.flags) == (0, 0, ["fpu", "vme"])


def test_where_every_node_claims_every_thread_the_thread_s_own_link_decides(server: Path) -> None:
    nodes = server / "sys/devices/system/node"
    for node in (0, 1):
        (nodes / f"node{node}/cpulist").write_text("0-3\n")
    for thread in range(4):
        link = server / f"sys/devices/system/cpu/cpu{thread}/node{thread % 2}"
        link.symlink_to(f"../../node/node{thread % 2}")
    threads = [t for s in cpu.probe(server).sockets for c in s.cores for t in c.threads]
    assert {thread.id: thread.numa_node for thread in threads} == {0: 0, 1: 1, 2: 0, 3: 1}


def test_siblings_with_numbers_of_their_own_are_cores_of_their_own(server: Path) -> None:
    (server / "sys/devices/system/cpu/cpu2/topology/core_id").write_text("1\n")
    assert [len(socket.cores) for socket in cpu.probe(server).sockets] == [2, 1]


def test_frequencies_are_megahertz_and_caches_bytes(server: Path) -> None:
    socket = cpu.probe(server).sockets[0]
    assert (socket.frequency, socket.frequency_minimum, socket.frequency_turbo) == (1500, 800, 3200)
    assert socket.cache == [Cache(1, "Data", 49152)]
    assert socket.address_sizes == AddressSizes(46, 48)


def test_cores_that_share_a_number_stay_apart_without_thread_lists(tmp_path: Path) -> None:
    topology = "/sys/devices/system/cpu/cpu{}/topology/{}"
    files = {}
    for number, die in ((0, 0), (1, 1)):
        files[topology.format(number, "core_id")] = "0\n"
        files[topology.format(number, "die_id")] = f"{die}\n"
    found = cpu.probe(trees.plant(tmp_path, files))
    assert len(found.sockets[0].cores) == 2


def test_s390_processors_take_what_the_file_says_of_all(tmp_path: Path) -> None:
    text = (
        "vendor_id       : IBM/S390\nfeatures\t: esan3 zarch\nprocessor 0: version = FF,  id = 1\n"
    )
    files = {"/proc/cpuinfo": text, "/sys/devices/system/cpu/cpu0/topology/core_id": "0"}
    (socket,) = cpu.probe(trees.plant(tmp_path, files)).sockets
    assert socket.vendor == "IBM/S390"
    assert socket.cores[0].flags == ["esan3", "zarch"]
    assert socket.address_sizes is None


def test_a_cache_size_that_is_none_costs_that_size_alone(server: Path) -> None:
    (server / "sys/devices/system/cpu/cpu0/cache/index0/size").write_text("big")
    found = cpu.probe(server)
    assert found.sockets[0].cache == [Cache(1, "Data", 0)]
    assert [complaint.reason for complaint in found.errors] == ["is not a size: 'big'"]


def test_memory_counts_online_blocks_and_knows_the_nodes(server: Path) -> None:
    found = memory.probe(server)
    assert found.total == 3 * 0x8000000
    assert found.used == found.total - 100000 * 1024
    assert (found.hugepages_size, found.hugepages_total, found.hugepages_used) == (
        2097152,
        4 * 2097152,
        3 * 2097152,
    )
    assert [(n.numa_node, n.total, n.used, n.hugepages_total) for n in found.nodes] == [
        (0, 2 * 0x8000000, 2000 * 1024, 2 * 2097152),
        (1, 0x8000000, 2000 * 1024, 2 * 2097152),
    ]


def test_memory_without_blocks_is_what_meminfo_says(tmp_path: Path) -> None:
    text = "\nMemTotal: 100 kB\nMemFree: 30 kB\nBuffers: 5 kB\nCached: 5 kB\nOdd: x\nno colon\n"
    found = memory.probe(trees.plant(tmp_path, {"/proc/meminfo": text}))
    assert (found.total, found.used) == (102400, 60 * 1024)
    assert [complaint.reason for complaint in found.errors] == ["Odd is not an amount: 'x'"]


def test_a_sata_disk_without_udev_is_read_from_sysfs_alone(server: Path) -> None:
    found = storage.probe(server)
    (disk,) = found.disks
    assert found.total == 2
    assert (disk.type, disk.model, disk.firmware_version) == ("sata", "BIGDISK", "1.0")
    assert (disk.serial, disk.wwn) == ("SERIAL", "t10.ATA BIGDISK S1")
    assert (disk.rpm, disk.rotational, disk.block_size, disk.size) == (7200, True, 4096, 1048576)
    assert (disk.pci_address, disk.numa_node, disk.usb_address) == ("0000:00:1f.2", 1, "")
    (part,) = disk.partitions
    assert (part.id, part.partition, part.size, part.mounted) == ("sda1", 1, 1024, True)
    assert part.device_fs_uuid == "f00d"
    assert found.errors == []


def test_rbd_is_no_disk_of_the_machine_and_bcache_names_its_user(tmp_path: Path) -> None:
    files, links = trees.disk("rbd0", "rbd/0", "250:0", bus="rbd")
    more = trees.disk("vda", "pci0000:00/0000:00:02.0/virtio0", "254:0", bus="virtio")
    links |= more[1]
    links["/sys/devices/pci0000:00/0000:00:02.0/virtio0/block/vda/bcache/dev"] = "../../bcache0"
    found = storage.probe(trees.plant(tmp_path, files | more[0], links))
    assert [(disk.id, disk.used_by, disk.rotational) for disk in found.disks] == [
        ("vda", "bcache0", False)
    ]


def test_a_multipath_nvme_without_controllers_is_still_a_disk(tmp_path: Path) -> None:
    home = "virtual/nvme-subsystem/nvme-subsys0"
    tree = trees.disk("nvme0n1", home, "259:0", bus="nvme-subsystem")
    (disk,) = storage.probe(trees.plant(tmp_path, *tree)).disks
    assert (disk.type, disk.pci_address, disk.numa_node) == ("nvme", "", 0)


def test_two_interfaces_of_one_function_are_ports_of_one_card(server: Path) -> None:
    found = network.probe(server)
    (card,) = found.cards
    assert found.total == 1
    assert (card.driver, card.driver_version) == ("mlx5_core", "5.0")
    assert (card.vendor, card.product) == ("Mellanox Technologies", "MT27710")
    assert (card.vendor_id, card.product_id, card.pci_address) == ("15b3", "1015", "0000:00:03.0")
    first, second = card.ports
    assert (first.id, first.link_detected, first.link_speed, first.link_duplex) == (
        "eth0",
        True,
        25000,
        "full",
    )
    assert (second.port, second.link_detected, second.link_speed) == (1, False, 0)


def test_virtual_functions_are_nested_in_their_card(server: Path) -> None:
    home = "/sys/devices/pci0000:00/0000:00:03.0"
    function = "/sys/devices/pci0000:00/0000:00:03.2"
    files = {
        f"{home}/sriov_totalvfs": "8\n",
        f"{home}/sriov_numvfs": "1\n",
        f"{home}/vdpa0/vhost-vdpa-0/dev": "1:1\n",
        f"{function}/class": "0x020000\n",
        f"{function}/device": "0x1016\n",
    }
    links = {f"{function}/physfn": home, "/sys/bus/pci/devices/0000:00:03.2": function}
    found = network.probe(trees.plant(server, files, links))
    (card,) = found.cards
    assert found.total == 2
    assert card.sriov is not None
    assert (card.sriov.maximum_vfs, card.sriov.current_vfs) == (8, 1)
    assert [vf["pci_address"] for vf in card.sriov.vfs] == ["0000:00:03.2"]
    assert card.vdpa is not None
    assert (card.vdpa.name, card.vdpa.device) == ("vdpa0", "vhost-vdpa-0")


def test_an_infiniband_port_names_its_devices(tmp_path: Path) -> None:
    home = "pci0000:00/0000:00:04.0"
    files, links = trees.nic("ib0", home, 5, type="32\n", dev_port="0\n")
    device = f"/sys/devices/{home}"
    files |= {
        f"{device}/infiniband/mlx4_0/node_type": "1",
        f"{device}/infiniband_mad/issm0/port": "1\n",
        f"{device}/infiniband_mad/issm0/dev": "231:64\n",
        f"{device}/infiniband_mad/umad0/port": "1\n",
        f"{device}/infiniband_mad/umad0/dev": "231:0\n",
        f"{device}/infiniband_mad/umad1/port": "2\n",
        f"{device}/infiniband_verbs/uverbs0/dev": "231:192\n",
    }
    ((port,),) = [card.ports for card in network.probe(trees.plant(tmp_path, files, links)).cards]
    assert port.protocol == "infiniband"
    assert port.infiniband == Infiniband("issm0", "231:64", "umad0", "231:0", "uverbs0", "231:192")


def test_interfaces_have_state_addresses_and_no_control_files(server: Path) -> None:
    found = interfaces.probe(server)
    assert list(found.states) == ["eth0", "eth1", "lo"]
    loop, first = found.states["lo"], found.states["eth0"]
    assert (loop.type, loop.hwaddr, loop.state) == ("loopback", "", "up")
    assert (first.type, first.mtu, first.state) == ("broadcast", 1500, "up")
    (address,) = first.addresses
    assert (address.address, address.netmask, address.scope) == ("fe80::1", "64", "link")
    assert loop.addresses[0].scope == "local"


def test_bonds_bridges_and_vlans_are_described(tmp_path: Path) -> None:
    net = "/sys/class/net"
    files = {
        f"{net}/bond0/ifindex": "4\n",
        f"{net}/bond0/bonding/mode": "802.3ad 4\n",
        f"{net}/bond0/bonding/xmit_hash_policy": "layer2 0\n",
        f"{net}/bond0/bonding/miimon": "100\n",
        f"{net}/bond0/bonding/mii_status": "up\n",
        f"{net}/bond0/bonding/slaves": "eth0 eth1\n",
        f"{net}/br0/ifindex": "5\n",
        f"{net}/br0/flags": "0x10\n",
        f"{net}/br0/bridge/bridge_id": "8000.1\n",
        f"{net}/br0/bridge/stp_state": "1\n",
        f"{net}/br0/bridge/forward_delay": "1500\n",
        f"{net}/br0/bridge/default_pvid": "1\n",
        f"{net}/br0/brif/eth2/port_no": "1\n",
        f"{net}/eth0.7/ifindex": "6\n",
        "/proc/net/vlan/config": "VLAN Dev | VLAN ID\nName\neth0.7  | 7  | eth0\nodd\n",
        "/proc/net/if_inet6": "zz 04 40 00 80 bond0\n"
        "20010db8000000000000000000000001 04 40 00 80 bond0\n",
    }
    found = interfaces.probe(trees.plant(tmp_path, files))
    assert found.states["bond0"].bond == Bond(
        "802.3ad", "layer2", 0, 0, 100, "up", ["eth0", "eth1"]
    )
    assert found.states["br0"].bridge == Bridge(
        id="8000.1", stp=True, forward_delay=1500, vlan_default=1, upper_devices=["eth2"]
    )
    assert found.states["br0"].type == "point-to-point"
    assert found.states["eth0.7"].vlan == Vlan("eth0", 7)
    assert found.states["eth0.7"].type == "unknown"
    assert found.states["bond0"].addresses[0].scope == "global"
    assert len(found.errors) == 1


def test_smbios_names_the_machine(server: Path) -> None:
    found = system.probe(server)
    assert found.uuid == "4c4c4544-0042-3510-8054-c2c04f4e3132"
    assert (found.vendor, found.product, found.serial) == ("Acme", "Rack 9000", "SN1")
    assert found.chassis is not None
    assert found.chassis.type == "Rack Mount Chassis"
    assert found.type == "physical"


def test_a_board_without_smbios_has_a_device_tree(tmp_path: Path) -> None:
    found = system.probe(trees.plant(tmp_path, {"/proc/device-tree/model": "Pi 4\0"}))
    assert (found.product, found.firmware, found.type) == ("Pi 4", None, "physical")


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, "virtual-machine"),
        ({"/proc/cpuinfo": "flags\t\t: fpu hypervisor\n"}, "virtual-machine"),
        ({"/sys/hypervisor/type": "xen\n"}, "virtual-machine"),
        ({"/proc/sysinfo": "VM00 Control Program: z/VM\n"}, "virtual-machine"),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation",
                "/sys/class/dmi/id/product_name": "Virtual Machine",
            },
            "virtual-machine",
        ),
        (
            {
                "/sys/class/dmi/id/sys_vendor": "Amazon EC2",
                "/sys/class/dmi/id/product_name": "m5.metal",
            },
            "physical",
        ),
        ({"/sys/hypervisor/type": "xen", "/proc/xen/capabilities": "control_d\n"}, "physical"),
        ({"/run/systemd/container": "lxc"}, "container"),
        ({"/proc/cpuinfo": "flags\t\t: fpu\n"}, "physical"),
    ],
)
def test_the_kind_of_machine_is_told_by_its_marks(
    tmp_path: Path, files: dict[str, str], kind: str
) -> None:
    assert system.probe(trees.plant(tmp_path, files)).type == kind


def test_sectors_written_are_field_seven_of_stat(server: Path) -> None:
    files, links = trees.disk("sdb", "x/1", "8:16", stat="1 2 3\n")
    more = trees.disk("sdc", "x/2", "8:32")
    found = writes.probe(trees.plant(server, files | more[0], links | more[1]))
    assert found.sectors == {"sda": 77}
    assert [complaint.path for complaint in found.errors] == ["/sys/block/sdb/stat"]


def test_a_tpm_that_stops_in_the_middle_gives_what_it_gave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = [b"half", b""]
    monkeypatch.setattr(
        tpm, "_command", lambda *_: struct.pack(">IH", 0, len(parts[0])) + parts.pop(0)
    )
    assert tpm._read(-1, 0x01C00002, 100) == b"half"
