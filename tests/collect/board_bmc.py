"""A BMC's own side, as far as bmc-config talks to it: users, channel access, LAN parameters."""

from dataclasses import dataclass, field

from muster.collect import ipmi

CHANNEL = 1


@dataclass
class User:
    name: bytes = b""
    password: bytes = b""
    enabled: bool = False
    access: int = 0


def _users() -> dict[int, User]:
    users = {number: User() for number in range(1, 7)}
    users[2] = User(b"root", b"calvin", enabled=True, access=0x14)
    return users


@dataclass
class BoardBmc:
    """`most`: the longest password that its policy takes; `special`: whether it must have one.

    `writes` counts what changed something; `dumb` commands are refused as unknown.
    """

    most: int = 20
    special: bool = False
    dumb: tuple[int, ...] = ()
    users: dict[int, User] = field(default_factory=_users)
    access: dict[int, list[int]] = field(default_factory=lambda: {0x40: [0x1A, 4], 0x80: [0x20, 2]})
    parameters: dict[int, bytes] = field(
        default_factory=lambda: {
            2: bytes([0x00, 0x17, 0x17, 0x17, 0x00]),
            4: b"\x01",
            22: bytes([5]),
            23: bytes([0, 0, 1, 2, 3, 17, *[0] * 11]),
            24: bytes([0, 0x44, 0x44, 0x24, 0, 0, 0, 0, 0]),
        }
    )
    anonymous: int = 0
    device_id: int = 0x20
    writes: list[str] = field(default_factory=list)
    truncates: bool = False
    read_only: tuple[int, ...] = ()
    believes_all: bool = False

    def ask(self, function: int, command: int, data: bytes = b"") -> bytes:
        if command in self.dumb:
            raise ipmi.Refused(f"command {command:#x}: answered 0xc1", 0xC1)
        if function == 0x0C:
            return self._lan(command, data)
        return {
            0x01: lambda _: bytes([self.device_id, *[0] * 10]),
            0x38: lambda d: bytes([d[0], 0x97, self.anonymous, 0, 0, 0, 0, 0]),
            0x40: self._set_channel,
            0x41: lambda d: bytes(self.access[d[1]]),
            0x43: self._set_access,
            0x44: self._get_access,
            0x45: self._set_name,
            0x46: self._get_name,
            0x47: self._set_password,
        }[command](data)

    def _lan(self, command: int, data: bytes) -> bytes:
        if command == 0x02:
            if data[1] not in self.parameters:
                raise ipmi.Refused("LAN parameter: answered 0x80", 0x80)
            return b"\x11" + self.parameters[data[1]]
        if data[1] in self.read_only:
            raise ipmi.Refused("LAN parameter: answered 0x82", 0x82)
        if data[1] != 0:
            self.writes.append(f"parameter {data[1]}")
            self.parameters[data[1]] = data[2:]
        return b""

    def _set_channel(self, data: bytes) -> bytes:
        assert data[1] & 0xC0 == data[2] & 0xC0
        self.writes.append("channel access")
        self.access[data[1] & 0xC0] = [data[1] & 0x3F, data[2] & 0x0F]
        return b""

    def _get_access(self, data: bytes) -> bytes:
        user = self.users[data[1] & 0x3F]
        state = 0x40 if user.enabled else 0x80
        return bytes([len(self.users), state | 1, 1, user.access])

    def _set_access(self, data: bytes) -> bytes:
        assert data[0] == 0x90 | CHANNEL
        self.writes.append("user access")
        self.users[data[1]].access = 0x10 | data[2]
        return b""

    def _set_name(self, data: bytes) -> bytes:
        self.writes.append("name")
        self.users[data[0]].name = data[1:].rstrip(b"\0")
        return b""

    def _get_name(self, data: bytes) -> bytes:
        user = self.users[data[0]]
        if not user.name:
            raise ipmi.Refused("Get User Name: answered 0xcc", 0xCC)
        return user.name.ljust(16, b"\0")

    def _set_password(self, data: bytes) -> bytes:
        user, operation = self.users[data[0] & 0x3F], data[1]
        password = data[2:].rstrip(b"\0")
        if operation == 3:
            assert len(data) == (22 if data[0] & 0x80 else 18)
            if password != user.password and not self.believes_all:
                raise ipmi.Refused("password: answered 0x80", 0x80)
            return b""
        self.writes.append("enable" if operation == 1 else "password")
        if operation == 1:
            user.enabled = True
            return b""
        if len(password) > self.most or (self.special and password.isalnum()):
            raise ipmi.Refused("password: answered 0xcc", 0xCC)
        user.password = password[:10] if self.truncates else password
        return b""
