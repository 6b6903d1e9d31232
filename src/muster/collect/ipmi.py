# SPDX-License-Identifier: Apache-2.0
"""Questions to the machine's own BMC through the kernel's driver, <linux/ipmi.h>.

Every question has a limit: a BMC that is updating itself does not answer at all.
"""

import array
import fcntl
import select
import struct

DEVICES = ("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0")
ANSWER_SECONDS = 3.0
# The system interface, the channel of the BMC itself, LUN 0; with its padding, or it is refused.
_ADDRESS = struct.pack("@ihBx", 0x0C, 0x0F, 0)
_REQUEST = "@PIlBBHP"
_ANSWER = "@iPIlBBHP"
_ANSWER_SIZE = 272  # IPMI_MAX_MSG_LENGTH


def _number(direction: int, number: int, layout: str) -> int:
    """<asm-generic/ioctl.h>: direction, size, type and number."""
    return direction << 30 | struct.calcsize(layout) << 16 | ord("i") << 8 | number


_SEND = _number(2, 13, _REQUEST)
_RECEIVE = _number(3, 11, _ANSWER)


class NoAnswer(Exception):
    """The BMC said nothing in time, and is not worth another question."""


class Refused(Exception):
    """The BMC answered that it will not; `code` is its completion code, 0 when it gave none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class Bmc:
    """Behind `channel`, one of DEVICES, open for reading and writing without blocking."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._asked = 0

    def ask(self, function: int, command: int, data: bytes = b"") -> bytes:
        """What follows the completion code in the answer; raises NoAnswer, Refused, OSError."""
        self._asked += 1
        address, content = array.array("B", _ADDRESS), array.array("B", data)
        request = struct.pack(
            _REQUEST,
            *(address.buffer_info()[0], len(address), self._asked),
            *(function, command, len(data), content.buffer_info()[0]),
        )
        fcntl.ioctl(self._channel, _SEND, request)
        while True:
            number, answer = self._receive(function, command)
            if number == self._asked:
                break
        if not answer or answer[0]:
            code = f"0x{answer[0]:02x}" if answer else "nothing"
            told = f"IPMI command 0x{function:02x} 0x{command:02x}: answered {code}"
            raise Refused(told, answer[0] if answer else 0)
        return answer[1:]

    def _receive(self, function: int, command: int) -> tuple[int, bytes]:
        """The number of the question, and the answer: perhaps of one that was given up."""
        ready, _, _ = select.select([self._channel], [], [], ANSWER_SECONDS)
        if not ready:
            raise NoAnswer(
                f"IPMI command 0x{function:02x} 0x{command:02x}: no answer in {ANSWER_SECONDS:g} s"
            )
        address, content = array.array("B", bytes(32)), array.array("B", bytes(_ANSWER_SIZE))
        places = (address.buffer_info()[0], len(address), 0)
        room = (0, 0, _ANSWER_SIZE, content.buffer_info()[0])
        receive = bytearray(struct.pack(_ANSWER, 0, *places, *room))
        fcntl.ioctl(self._channel, _RECEIVE, receive)
        _, _, _, number, _, _, length, _ = struct.unpack(_ANSWER, receive)
        return number, content[: min(length, _ANSWER_SIZE)].tobytes()
