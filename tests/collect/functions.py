"""PCI functions on small made-up machines, with their names in pci.ids."""

from pathlib import Path

import trees

BUS = "/sys/bus/pci/devices"
IDS = {
    "/usr/share/misc/pci.ids": "10de  NVIDIA Corporation\n\t20b0  GA100 [A100 SXM4 40GB]\n"
    "8086  Intel Corporation\n\t5916  HD Graphics 620\n1af4  Red Hat\n\t1050  Virtio GPU\n"
}
# As in the real file, a vendor is found only behind a line end.
IDS = {path: "# ids\n" + text for path, text in IDS.items()}


def function(address: str, kind: str, vendor: str, device: str, **more: str | bytes):
    """A PCI function with identifiers; its files and links."""
    home = f"/sys/devices/pci0000:00/{address}"
    files: trees.Files = {
        f"{home}/class": f"0x{kind}\n",
        f"{home}/vendor": f"0x{vendor}\n",
        f"{home}/device": f"0x{device}\n",
    }
    files |= {f"{home}/{name.replace('__', '/')}": text for name, text in more.items()}
    return files, {f"{BUS}/{address}": home}


def planted(root: Path, *parts: tuple[trees.Files, trees.Links]) -> Path:
    files: trees.Files = dict(IDS)
    links: trees.Links = {}
    for part in parts:
        files |= part[0]
        links |= part[1]
    return trees.plant(root, files, links)
