# SPDX-License-Identifier: Apache-2.0
"""Starts and stops everything: database, DHCP, HTTP, and the loops that keep promises."""

import asyncio
import contextlib
import functools
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvicorn
import uvloop
from litestar import Litestar
from litestar.types import ASGIApp

from muster.boot import dhcp, dhcp6
from muster.boot.arch import UefiLoader
from muster.boot.dhcplog import Asked, Loader, Reader, Unserved
from muster.boot.dnsmasq import DhcpError, Dnsmasq
from muster.images.errors import ImageError
from muster.images.library import Library
from muster.lifecycle import (
    applying,
    bmclogs,
    bmcverify,
    deadlines,
    people,
    polling,
    power,
    tags,
    timeline,
)
from muster.lifecycle.keyring import Keyring, KeyringError
from muster.lifecycle.policy import Policy
from muster.lifecycle.vault import Place, VaultKeyring
from muster.server import doctor, neighbours, sockets
from muster.server import segment as segments
from muster.server.app import application, utc_now
from muster.server.headers import Protocol
from muster.server.loaders import Loaders
from muster.server.relays import Relays, by_ipv6_url, networks
from muster.server.settings import BadSettings, Settings, images_folder, key_file
from muster.server.situation import Situation
from muster.server.sockets import CannotStart
from muster.store import counts, hosts, machines, racks, traits
from muster.store.engine import CannotOpen, Store
from muster.web import assets

log = structlog.get_logger("muster")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises CannotStart."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))
    except (BadSettings, CannotOpen, DhcpError, ImageError, KeyringError) as error:
        raise CannotStart(str(error)) from error


def policy_of(settings: Settings, url: str) -> Policy:
    """What the rooms need to know of the settings."""
    return Policy(
        enlist=settings.enlist,  # type: ignore[arg-type]
        manifest=settings.manifest,  # type: ignore[arg-type]
        url=url,
        files_url=settings.files_url.rstrip("/"),
        metadata_url=settings.metadata_url.rstrip("/"),
        start=settings.start,  # type: ignore[arg-type]
        datasource=settings.datasource,  # type: ignore[arg-type]
        kernel_options=settings.kernel_options,
        ntp_servers=tuple(settings.ntp_servers),
        ssh_keys=tuple(settings.ssh_keys),
        nonce_s=settings.nonce_s,
        heartbeat_s=settings.heartbeat_s,
        silence_s=settings.silence_s,
        arrive_s=settings.arrive_s,
        commission_retries=settings.commission_retries,
        power_s=settings.power_s,
        bmc_config=settings.bmc_config == "on",
        power_at_once=settings.power_at_once,
        power_a_subnet=settings.power_a_subnet,
        poll_s=settings.poll_s,
        output_limit=settings.output_limit,
        boots_at_once=settings.boots_at_once,
        roots_at_once=settings.roots_at_once,
        agents_at_once=settings.agents_at_once,
    )


def open_store(settings: Settings) -> Store:
    """The database, migrated; raises CannotStart or CannotOpen."""
    folder = Path(settings.data)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise CannotStart(f"data folder {folder}: {error.strerror}") from error
    store = Store(settings.database or f"sqlite:///{folder / 'muster.db'}")
    store.migrate()
    _index(store)
    if counts.mend(store):
        log.warning("the counts of machines by state were wrong and are mended")
    return store


def keyring_of(settings: Settings) -> Keyring:
    """The keys in Vault when there is one, else in the file; raises BadSettings."""
    if not settings.vault_url:
        return Keyring(key_file(settings))
    if not settings.vault_url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise BadSettings(f"vault_url={settings.vault_url!r}: must be https")
    if not settings.vault_token_file and not (
        settings.vault_role_id and settings.vault_secret_id_file
    ):
        raise BadSettings("vault_url needs vault_role_id and vault_secret_id_file, or a token file")
    return VaultKeyring(
        Place(
            settings.vault_url,
            settings.vault_mount.strip("/"),
            settings.vault_path.strip("/"),
            settings.vault_role_id,
            settings.vault_secret_id_file,
            settings.vault_token_file,
            settings.vault_ca_file,
            settings.vault_namespace,
        )
    )


def _index(store: Store) -> None:
    """After an update that finds machines by more than before: once, about 1 ms a machine."""
    done = 0
    while True:
        with store.write() as tx:
            found = traits.catch_up(tx)
            racks.settle(tx, found)
        if not found:
            return
        done += len(found)
        log.info("machines are made findable", machines=done)


def open_keyring(settings: Settings, store: Store) -> Keyring:
    """The keys of BMC secrets, made at the first start; raises CannotStart or KeyringError."""
    keyring = keyring_of(settings)
    with store.write() as tx:
        # Two servers that start at once make one file.
        store.one_at_a_time(tx)
        if machines.sealed(tx) or hosts.sealed(tx):
            keyring.keys()
            return keyring
        try:
            keyring.create()
        except OSError as error:
            raise CannotStart(f"key_file {keyring.file}: {error.strerror}") from error
    keyring.keys()
    return keyring


async def _serve(settings: Settings) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(24, "request"))
    believed = networks(settings.relays)
    listening = [*sockets.inherited(), sockets.listen(settings.listen)]
    sockets.raise_open_files()
    store = open_store(settings)
    keyring = open_keyring(settings, store)
    library = Library(images_folder(settings))
    segment, six = segments.both(settings)
    port = listening[-1].getsockname()[1]
    if six and listening[-1].family == socket.AF_INET:
        listening.append(sockets.listen(f"[::]:{port}", beside=True))
    urls = _urls(settings, segment, six, port)
    policy = policy_of(settings, urls[0])
    loaders = Loaders(library, Path(settings.data) / "dhcp" / "tftp", urls)
    dnsmasq = await _start_dhcp(settings, await _dhcp_text(settings, segment, six, urls),
                                store, loaders)  # fmt: skip
    _first_start(settings, store, policy)
    switchboard = power.Switchboard(store, keyring, policy, utc_now)

    @asynccontextmanager
    async def loops(_: Litestar) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(power.work(switchboard)),
            asyncio.create_task(polling.work(switchboard)),
            asyncio.create_task(_every(1.0, lambda: bmcverify.verify(switchboard))),
            asyncio.create_task(_every(10.0, lambda: bmclogs.look(switchboard))),
            asyncio.create_task(
                _every(1.0, lambda: asyncio.to_thread(deadlines.sweep, store, policy, utc_now()))
            ),
            asyncio.create_task(_every(5.0, lambda: asyncio.to_thread(loaders.refresh))),
            asyncio.create_task(_every(1.0, lambda: _catch_up(store, policy))),
            *_watching(settings, segment, store),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = application(store, policy, library, keyring=keyring, lifespan=[loops])
    _furnish(app, settings)
    _keep_what_is_here()
    log.info("serving", url=policy.url, dhcp=settings.dhcp, data=settings.data)
    try:
        served, doors = Relays(app, believed), sockets.doors(listening)
        await _Server(_config(served), app.state.broadcaster.close).serve(sockets=doors)
    finally:
        if dnsmasq:
            await dnsmasq.stop()
        store.close()


def _keep_what_is_here() -> None:
    """100,000 objects stay: to look through them for garbage took 100 ms of each 100th request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _watching(
    settings: Settings, segment: dhcp.Segment | None, store: Store
) -> list[asyncio.Task[None]]:
    if segment is None or settings.dhcp == "none":
        return []
    mode: dhcp.Mode = settings.dhcp  # type: ignore[assignment]
    watch = neighbours.Watch(store, segment.interface, mode, utc_now)
    looks = [(neighbours.PERIOD_S, watch.look)]
    try:
        strays = neighbours.OtherVlans(store, segment.interface, utc_now)
        looks.append((neighbours.STRAYS_S, strays.look))
    except OSError as error:
        log.warning("cannot listen for machines on other VLANs", why=str(error))
    return [
        asyncio.create_task(_every(period, functools.partial(asyncio.to_thread, look)))
        for period, look in looks
    ]


async def _catch_up(store: Store, policy: Policy) -> None:
    """Between two steps other writers have their turn; rules ask for tags that definitions give."""
    while await asyncio.to_thread(tags.catch_up, store, utc_now()):
        pass
    while await asyncio.to_thread(applying.catch_up, store, policy, utc_now()):
        pass


def _furnish(app: Litestar, settings: Settings) -> None:
    """What the pages show of this server's network, and whether they have their style."""
    app.state.situation = Situation(lambda: doctor.situation(settings), utc_now)
    app.state.situation()
    if absent := assets.missing():
        log.warning("the pages have no style: run 'make setup'", missing=absent)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        lifespan="on",
        # Nobody's X-Forwarded-For is believed.
        proxy_headers=False,
        server_header=False,
    )


class _Server(uvicorn.Server):
    """Ends when told to; uvicorn would raise the signal again and kill us before our `finally`.

    `on_exit` ends the streams that pages hold open, which uvicorn would wait for.
    """

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by `serve` around everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._exit, number)
        yield

    def _exit(self, number: int) -> None:
        self.handle_exit(number, None)
        self._on_exit()


def _urls(
    settings: Settings, segment: dhcp.Segment | None, six: dhcp6.Segment6 | None, port: int
) -> list[str]:
    """The server as machines reach it; the last one by IPv6, where they boot by that."""
    given = settings.url.rstrip("/")
    by_ipv6 = [by_ipv6_url(given, six.ip, port)] if six else []
    if six and segment is None:
        return by_ipv6
    address = segment.ip if segment else sockets.own_address(settings.listen)
    host = f"[{address}]" if ":" in address else address
    return list(dict.fromkeys([given or f"http://{host}:{port}", *by_ipv6]))


async def _dhcp_text(
    settings: Settings, segment: dhcp.Segment | None, six: dhcp6.Segment6 | None, urls: list[str]
) -> str:
    """dnsmasq.conf, "" when none is to run; raises CannotStart."""
    folder = Path(settings.data) / "dhcp"
    uefi: UefiLoader = settings.uefi_loader  # type: ignore[assignment]
    text = dhcp.alone(six.interface, folder) if six else ""
    if settings.dhcp != "none":
        if segment is None:
            raise BadSettings(f"dhcp={settings.dhcp} needs an interface: --interface NAME")
        if settings.dhcp == "own":
            await _be_the_only_one(segment.interface)
        mode: dhcp.Mode = settings.dhcp  # type: ignore[assignment]
        text = dhcp.configuration(segment, mode, url=urls[0], folder=folder, uefi=uefi)
    return text + dhcp6.lines(six, urls[-1], uefi) if six else text


async def _be_the_only_one(interface: str) -> None:
    others = await asyncio.to_thread(neighbours.at_start, interface)
    if others:
        raise CannotStart(
            f"another DHCP server, {others}, answers on {interface}: two would give"
            " machines different answers; use --dhcp proxy beside it, or stop it"
        )


async def _start_dhcp(
    settings: Settings, text: str, store: Store, loaders: Loaders
) -> Dnsmasq | None:
    if not text:
        return None
    loaders.refresh()
    dnsmasq = Dnsmasq(text, Path(settings.data) / "dhcp", _dhcp_reader(store, loaders))
    await dnsmasq.start()
    return dnsmasq


def _dhcp_reader(store: Store, loaders: Loaders) -> Callable[[list[str]], Awaitable[None]]:
    reader = Reader(loaders.lacks)

    async def on_lines(lines: list[str]) -> None:
        for line in lines:
            log.debug("dnsmasq", line=line)
        if told := [said for line in lines if (said := reader.read(line))]:
            await store.written(_note, told)

    return on_lines


def _note(store: Store, told: Sequence[Asked | Unserved | Loader]) -> None:
    """All that dnsmasq said meanwhile, in one transaction: it waits for us, and so do machines."""
    now = utc_now()
    with store.write() as tx:
        for said in told:
            match said:
                case Asked(mac, detail):
                    timeline.dhcp_seen(tx, now, mac=mac, detail=detail)
                case Unserved(mac, detail):
                    timeline.unserved(tx, now, mac=mac, detail=detail)
                case Loader(mac, detail, failed):
                    timeline.loader_sent(tx, now, mac=mac, detail=detail, failed=failed)


def _first_start(settings: Settings, store: Store, policy: Policy) -> None:
    brought = ""
    if settings.first_password_file:
        try:
            brought = Path(settings.first_password_file).read_text().strip()
        except OSError as error:
            raise CannotStart(f"first_password_file: {error}") from error
    password = people.first_admin(store, utc_now(), password=brought)
    if password:
        # Printed, not logged: a log is kept and sent elsewhere.
        print(
            f"\nFirst start: the user admin was made. Its password is shown this once:\n\n"
            f"    {password}\n\nSign in with:  muster login {policy.url} --user admin\n",
            flush=True,
        )


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do the work again and again; one failure is logged and does not end the loop."""
    while True:
        try:
            await work()
        except Exception as error:
            log.error("a background step failed", exc_info=error)
        await asyncio.sleep(seconds)
