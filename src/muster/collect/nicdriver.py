# SPDX-License-Identifier: Apache-2.0
"""Questions to the drivers of network interfaces: SIOCETHTOOL, <linux/ethtool.h>.

Asked without ctypes: `array` gives the address of its buffer.
"""

import array
import errno
import fcntl
import struct
from collections.abc import Iterator

from muster.collect.reading import Reader
from muster.collect.sockets import AF_INET, SOCK_DGRAM, Channel
from muster.wire.peripherals import NicDriver

_NET = "/sys/class/net"
_SIOCETHTOOL = 0x8946
_GDRVINFO = 0x3
# Larger than any answer: link settings have 48 bytes and three masks of at most 127 words.
_BUFFER_SIZE = 4096
_FIELDS = range(4, 132, 32)
_REFUSALS = {errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL}


class Driver:
    """The driver of interface `name`; a refused question becomes a complaint of `reader`."""

    def __init__(self, reader: Reader, channel: Channel, name: str) -> None:
        self.name = name
        self._reader = reader
        self._channel = channel

    def ask(self, question: bytes) -> bytes:
        """The answer, in a buffer of `_BUFFER_SIZE`; b"" if the driver has none."""
        buffer = array.array("B", question.ljust(_BUFFER_SIZE, b"\0"))
        request = struct.pack("16sP16x", self.name.encode()[:15], buffer.buffer_info()[0])
        try:
            fcntl.ioctl(self._channel, _SIOCETHTOOL, request)
        except OSError as error:
            if error.errno not in _REFUSALS:
                (number,) = struct.unpack_from("=I", question)
                self._reader.complain(f"ethtool {self.name} 0x{number:x}", error.strerror or "")
            return b""
        return buffer.tobytes()

    def information(self) -> NicDriver:
        """ETHTOOL_GDRVINFO: driver, version, firmware and bus, 32 bytes each."""
        answer = self.ask(struct.pack("=I", _GDRVINFO))
        driver, version, firmware, bus = (_text(answer[place : place + 32]) for place in _FIELDS)
        return NicDriver(self.name, driver, version, firmware, bus)


def drivers(reader: Reader) -> Iterator[Driver]:
    """Of every interface of hardware; none where `reader` reads a recorded tree."""
    if not reader.live:
        return
    names = [name for name in reader.names(_NET) if reader.exists(f"{_NET}/{name}/device")]
    with Channel(AF_INET, SOCK_DGRAM) as channel:
        for name in names:
            yield Driver(reader, channel, name)


def _text(raw: bytes) -> str:
    """ "N/A" says nothing."""
    text = raw.partition(b"\0")[0].decode(errors="replace").strip()
    return "" if text == "N/A" else text
