# SPDX-License-Identifier: Apache-2.0
"""muster image choose, chosen: what one machine, or every machine with a tag, is started with."""

import urllib.parse
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from muster.cli import tables
from muster.cli.client import ApiError, Client, fail, machine_path
from muster.cli.words import clean, plain

Output = Annotated[Literal["text", "json"], Parameter(alias="-o")]
MACHINE_OR_TAG = "say for which machine, or for which --tag"


def choose(
    machine: str = "",
    /,
    *,
    tag: str = "",
    image: str = "",
    kernel_options: str = "",
    datasource: Literal["", "nocloud", "maas"] = "",
) -> None:
    """Choose for a machine or for a --tag, from the next boot on; with nothing else: no choice.

    A machine's own image counts before that of its tags (of these the first by name), and that
    before the image in use. Kernel options add up: the setting's, the tags', the machine's.

    Parameters
    ----------
    machine
        Name or id
    tag
        Every machine with this tag
    image
        A release (noble), product or id, as 'muster image list' shows them
    kernel_options
        Added to the kernel's command line: --kernel-options=iommu=off
    datasource
        How a stock image's cloud-init gets its seed
    """
    if bool(machine) == bool(tag):
        fail(MACHINE_OR_TAG)
    body = {"image": image, "kernel_options": kernel_options, "datasource": datasource}
    if machine:
        _tell(machine, _ask("PUT", machine_path(machine, "/image"), body))
        return
    _ask("PUT", f"/tags/{urllib.parse.quote(tag, safe='')}/image", body)
    words = " ".join(filter(None, (image, kernel_options, datasource)))
    print(plain(f"tag {tag}: {words or 'nothing is chosen'}"))


def chosen(machine: str = "", /, *, output: Output = "text") -> None:
    """What a machine is started with and why; without a machine, what is chosen for tags."""
    found = _ask("GET", machine_path(machine, "/image") if machine else "/tag-images")
    if output == "json":
        Console().print_json(data=found)
    elif machine:
        _tell(machine, found)
    else:
        table = tables.table("tag", "image", "kernel options", "datasource", "by")
        for name, one in found.items():
            words = (one["image"], one["kernel_options"], one["datasource"], one["set_by"])
            table.add_row(*map(clean, (name, *words)))
        tables.put(table)


def _tell(machine: str, offer: dict[str, Any]) -> None:
    print(plain(f"{machine}: {offer['because']}"))
    print(plain(f"  kernel options: {offer['kernel_options'] or 'none'}"))
    print(plain(f"  datasource of a stock image: {offer['datasource']}"))


def _ask(method: str, path: str, body: object = None) -> Any:
    try:
        return Client().send(method, path, body)
    except ApiError as error:
        fail(str(error))
