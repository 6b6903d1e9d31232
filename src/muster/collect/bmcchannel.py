# SPDX-License-Identifier: Apache-2.0
"""A BMC's LAN channel in-band: what is weak about it, and closing it (IPMI 2.0, 22.22 to 23.2)."""

from muster.collect import ipmi

_APPLICATION, _TRANSPORT = 0x06, 0x0C
_AUTHENTICATION, _SET_ACCESS, _GET_ACCESS = 0x38, 0x40, 0x41
_SET_LAN, _GET_LAN = 0x01, 0x02
_PROGRESS, _AUTH_ENABLES, _SOURCE, _SUITE_COUNT, _SUITES, _SUITE_LIMITS = 0, 2, 4, 22, 23, 24
_LEVELS = ("callback", "user", "operator", "administrator", "oem")
_WEAK_AUTH = {0x01: "none", 0x02: "md2", 0x10: "straight password"}
_NONE_AND_MD2 = 0x03
_NO_INTEGRITY = {0, 1, 6, 11, 15}
_GOOD_SUITES = (17, 3)
_ALWAYS = 2
_SCOPES = {0x40: "kept", 0x80: "present"}
_DHCP = 2


class Channel:
    """One LAN channel; every `close_*` says in words what it changed, [] when nothing."""

    def __init__(self, bmc: ipmi.Bmc, number: int) -> None:
        self._bmc, self.number = bmc, number

    def _ask(self, function: int, command: int, *data: int) -> bytes:
        """b"" where the BMC does not know it."""
        try:
            return self._bmc.ask(function, command, bytes(data))
        except ipmi.Refused:
            return b""

    def _parameter(self, number: int, size: int) -> bytes:
        """A LAN parameter of at least `size` bytes, without its revision; else b""."""
        answer = self._ask(_TRANSPORT, _GET_LAN, self.number, number, 0, 0)[1:]
        return answer if len(answer) >= size else b""

    def _set(self, number: int, data: bytes) -> bool:
        """Whether the BMC let this LAN parameter be changed: some are read-only in some (0x82)."""
        # Table 23-2; BMCs that know no "set in progress" refuse that alone.
        self._ask(_TRANSPORT, _SET_LAN, self.number, _PROGRESS, 1)
        try:
            self._bmc.ask(_TRANSPORT, _SET_LAN, bytes([self.number, number]) + data)
        except ipmi.Refused:
            return False
        finally:
            self._ask(_TRANSPORT, _SET_LAN, self.number, _PROGRESS, 0)
        return True

    def suites(self) -> dict[int, int]:
        """Cipher suites, and the highest privilege that each gives; 0: none."""
        count = self._parameter(_SUITE_COUNT, 1)[:1]
        listed, limits = self._parameter(_SUITES, 2)[1:17], self._parameter(_SUITE_LIMITS, 9)[1:9]
        nibbles = [half for byte in limits for half in (byte & 0x0F, byte >> 4)]
        return dict(zip(listed[: count[0] & 0x1F] if count else b"", nibbles, strict=False))

    def weaknesses(self) -> list[str]:
        """What lets people in who should not be, in words."""
        found = []
        suites = self.suites()
        if suites.get(0):
            found.append(f"cipher suite 0 needs no password and gives {_level(suites[0])}")
        weak = sorted(s for s, limit in suites.items() if s in _NO_INTEGRITY - {0} and limit)
        if weak:
            found.append(f"cipher suites without integrity: {', '.join(map(str, weak))}")
        enables = self._parameter(_AUTH_ENABLES, 5)
        for bit, name in _WEAK_AUTH.items():
            levels = [level for level, byte in zip(_LEVELS, enables, strict=False) if byte & bit]
            if levels:
                found.append(f"IPMI 1.5 authentication {name} for {', '.join(levels)}")
        status = self._ask(_APPLICATION, _AUTHENTICATION, self.number, 4)[2:3]
        # Table 22-15: anonymous login, and users without a name.
        if status and status[0] & 0x01:
            found.append("the anonymous user may log in without name and password")
        elif status and status[0] & 0x02:
            found.append("a user without a name may log in")
        return [f"channel {self.number}: {text}" for text in found]

    def close_weaknesses(self, privilege: int) -> list[str]:
        """No suite 0, no NONE or MD2; the best suite gives `privilege` at least."""
        return [*self._close_suites(privilege), *self._close_authentication()]

    def _close_suites(self, privilege: int) -> list[str]:
        suites = self.suites()
        best = next((suite for suite in _GOOD_SUITES if suite in suites), None)
        wanted = {suite: 0 if suite == 0 else limit for suite, limit in suites.items()}
        if best is not None:
            wanted[best] = max(wanted[best], privilege)
        if wanted == suites:
            return []
        nibbles = [*wanted.values(), *[0] * (16 - len(wanted))]
        pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
        if not self._set(_SUITE_LIMITS, bytes([0, *(low | high << 4 for low, high in pairs)])):
            return []
        return [
            f"channel {self.number}: cipher suite {suite} gives {_level(limit)}"
            for suite, limit in wanted.items()
            if limit != suites[suite]
        ]

    def _close_authentication(self) -> list[str]:
        enables = self._parameter(_AUTH_ENABLES, 5)[:5]
        wanted = bytes(byte & ~_NONE_AND_MD2 for byte in enables)
        if wanted == enables:
            return []
        if not self._set(_AUTH_ENABLES, wanted):
            return []
        return [f"channel {self.number}: no IPMI 1.5 authentication none or md2"]

    def open_access(self, privilege: int) -> list[str]:
        """The channel is always there, checks every message, and lets `privilege` in."""
        changed = []
        for scope, word in _SCOPES.items():
            told = self._bmc.ask(_APPLICATION, _GET_ACCESS, bytes([self.number, scope]))
            mode, limit = told[0] & 0x3F, told[1] & 0x0F
            # Bits 4 and 3 switch off per-message and user-level authentication.
            wanted = mode & 0x20 | _ALWAYS, max(limit, privilege)
            if wanted != (mode, limit):
                data = bytes([self.number, scope | wanted[0], scope | wanted[1]])
                self._bmc.ask(_APPLICATION, _SET_ACCESS, data)
                changed.append(f"channel {self.number}: {word} access is always available")
        return changed

    def ask_dhcp(self) -> list[str]:
        """The BMC asks for an address by itself."""
        source = self._parameter(_SOURCE, 1)[:1]
        if source and source[0] & 0x0F == _DHCP:
            return []
        if not self._set(_SOURCE, bytes([_DHCP])):
            return []
        return [f"channel {self.number}: its address comes from DHCP"]


def _level(limit: int) -> str:
    return _LEVELS[limit - 1] if 1 <= limit <= len(_LEVELS) else "nothing"
