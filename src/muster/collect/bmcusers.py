# SPDX-License-Identifier: Apache-2.0
"""A BMC's users, asked and changed in-band (IPMI 2.0, 22.26 to 22.31). Nothing is changed twice."""

from muster.collect import ipmi

_APPLICATION = 0x06
_SET_ACCESS, _GET_ACCESS = 0x43, 0x44
_SET_NAME, _GET_NAME = 0x45, 0x46
_SET_PASSWORD = 0x47
_ENABLE, _SET, _TEST = 1, 2, 3
_WRONG_PASSWORD = (0x80, 0x81)
# No user has it: what the server makes begins with a letter.
_NOBODYS = "0"
_NAME_SIZE = 16
PRIVILEGES = {1: "callback", 2: "user", 3: "operator", 4: "administrator", 5: "oem"}


class NoRoom(Exception):
    """The user cannot be made; the message says why and what to do."""


class Users:
    """The users of one BMC as `channel`, one of its LAN channels, lets them in."""

    def __init__(self, bmc: ipmi.Bmc, channel: int) -> None:
        self._bmc, self._channel = bmc, channel
        told = self._access(1)
        self.most = told[0] & 0x3F
        self._fixed = told[2] & 0x3F

    def _access(self, user: int) -> bytes:
        answer = self._bmc.ask(_APPLICATION, _GET_ACCESS, bytes([self._channel, user]))
        if len(answer) < 4:
            raise ipmi.Refused(f"Get User Access: answered {len(answer)} bytes, not 4")
        return answer

    def lets_in(self, user: int) -> int:
        """The privilege at which this user may use the channel; 0: not at all."""
        told = self._access(user)
        # Table 22-34: bits 7:6 say enabled or disabled; older BMCs leave them zero.
        disabled = told[1] >> 6 == 2
        level = told[3] & 0x0F
        return level if told[3] & 0x10 and not disabled and level in PRIVILEGES else 0

    def name(self, user: int) -> str:
        """ "" for a user without one; BMCs refuse to name a user that never was."""
        try:
            raw = self._bmc.ask(_APPLICATION, _GET_NAME, bytes([user]))
        except ipmi.Refused:
            return ""
        return raw[:_NAME_SIZE].rstrip(b"\xff").split(b"\0")[0].decode(errors="replace").strip()

    def slot(self, name: str) -> int:
        """Where the user is, else a free place; raises NoRoom."""
        names = {user: self.name(user) for user in range(1, self.most + 1)}
        for user, known in names.items():
            if known == name:
                return user
        # User 1 is the anonymous one, and what the firmware has fixed stays so.
        for user in range(max(2, self._fixed + 1), self.most + 1):
            if not names[user] and not self.lets_in(user):
                return user
        raise NoRoom(f"all {self.most} user places of the BMC are taken; delete one that is unused")

    def accepts(self, user: int, password: str) -> bool:
        """Whether this is the user's password now; False where the BMC cannot say."""
        try:
            self._password(user, _TEST, password)
        except ipmi.Refused:
            return False
        return True

    def _password(self, user: int, operation: int, password: str = "") -> None:
        raw = password.encode()
        size = 20 if len(raw) > _NAME_SIZE else _NAME_SIZE
        flag = 0x80 if size == 20 else 0
        data = raw.ljust(size, b"\0") if operation != _ENABLE else b""
        self._bmc.ask(_APPLICATION, _SET_PASSWORD, bytes([user | flag, operation]) + data)

    def make(
        self, name: str, passwords: list[str], privilege: int, *, known: bool = False
    ) -> tuple[int, int, list[str]]:
        """The user with one of the passwords; returns place, which password, what was changed.

        `known`: the server was let in with the first password; that counts where the BMC cannot
        test one.
        In the order that Dell's and Supermicro's BMCs need: name, password, enable, privilege.
        """
        changed: list[str] = []
        user = self.slot(name)
        is_new = self.name(user) != name
        if is_new:
            self._bmc.ask(
                _APPLICATION, _SET_NAME, bytes([user]) + name.encode().ljust(_NAME_SIZE, b"\0")
            )
            changed.append(f"user {user} is named {name}")
        which = None if is_new else self._has(user, passwords, known=known)
        if which is None:
            which = self._choose(user, passwords)
            changed.append(f"user {user} has a new password of {len(passwords[which])} characters")
        if self.lets_in(user) != privilege:
            self._password(user, _ENABLE)
            # Bit 7: the next bits are to be changed; bit 4: IPMI messages are allowed.
            self._bmc.ask(_APPLICATION, _SET_ACCESS, bytes([0x90 | self._channel, user, privilege]))
            word = PRIVILEGES[privilege]
            changed.append(f"user {user} may use channel {self._channel} as {word}")
        return user, which, changed

    def _has(self, user: int, passwords: list[str], *, known: bool) -> int | None:
        """Which of the passwords the user has now."""
        # OpenIPMI's simulator says yes to every password, other BMCs know no test.
        tested = [self.accepts(user, text) for text in (_NOBODYS, *passwords)]
        if True in tested[1:] and not tested[0]:
            return tested[1:].index(True)
        cannot_test = tested[0] or not any(tested)
        return 0 if known and cannot_test else None

    def _choose(self, user: int, passwords: list[str]) -> int:
        """The first password that the BMC's policy takes; raises NoRoom."""
        why = ""
        for index, password in enumerate(passwords):
            try:
                self._password(user, _SET, password)
            except ipmi.Refused as error:
                why = str(error)
                continue
            if self._took(user, password):
                return index
            why = "it kept another one than it was given"
        raise NoRoom(f"the BMC takes none of {len(passwords)} kinds of password: {why}")

    def _took(self, user: int, password: str) -> bool:
        """True also where the BMC cannot say: the server tries it from outside anyway."""
        try:
            self._password(user, _TEST, password)
        except ipmi.Refused as error:
            return error.code not in _WRONG_PASSWORD
        return True
