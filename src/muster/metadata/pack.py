# SPDX-License-Identifier: Apache-2.0
"""Packs the outbuilding (agent, collect, wire) into one file that any Python 3.10+ can run.

Served, not baked into the image: server and agent are always of one version, and a change of the
agent needs no new image (after cockpit's bridge, which ships itself the same way).
"""

import io
import zipfile
from functools import cache
from pathlib import Path

ROOMS = ("agent", "collect", "wire")

_MAIN = '''\
"""`python3 -I agent.pyz run [FOLDER]`, `... collect [OPTIONS]`, `... bmc-config` or

`... smart TEST DEVICE` or `... lldp FOLDER`.
"""
import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["collect"]:
        import gc

        gc.disable()  # It ends before there is much to collect: 1.5 of a survey's 46 ms.
        from muster.collect.__main__ import main
    elif sys.argv[1:2] == ["bmc-config"]:
        from muster.collect.bmcconfig import main
    elif sys.argv[1:2] == ["lldp"]:
        from muster.collect.lldp import main
    elif sys.argv[1:2] == ["smart"]:
        from muster.agent.smart import main
    else:
        from muster.agent.__main__ import main
    sys.exit(main(sys.argv[2:]))
'''

# The oldest time that zip knows: the same sources give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


@cache
def packed() -> bytes:
    """The zip application."""
    source = Path(__file__).parent.parent
    files = [source / "__init__.py"]
    for room in ROOMS:
        files += sorted((source / room).rglob("*.py"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(zipfile.ZipInfo("__main__.py", _TIME), _MAIN)
        for file in files:
            info = zipfile.ZipInfo(f"muster/{file.relative_to(source)}", _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            pack.writestr(info, file.read_bytes())
    return out.getvalue()
