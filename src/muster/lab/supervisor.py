# SPDX-License-Identifier: Apache-2.0
"""The one process that owns a lab: process 1 of its own pid and network namespaces.

launch.py starts it inside anonymous namespaces. When it ends, however it ends, the
kernel ends every QEMU, dnsmasq and server with it, and the bridge and taps vanish.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from muster.lab import accel, endpoint, network
from muster.lab.children import reap_orphans
from muster.lab.errors import LabError
from muster.lab.machines import Machine
from muster.lab.rack import Rack


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What launch.py sends on standard input.

    `server` is the argument list of the product's server, or None. `ready_fd` is a pipe that
    gets one JSON line, {"ready": true} or {"error": words}. `proc_fd` is the host's /proc.
    `leash_fd` is a pipe whose other end closes with the process that the lab must not outlive.
    """

    name: str
    folder: str
    machines: list[Machine]
    server: list[str] | None
    server_env: dict[str, str]
    listen_fd: int | None
    server_url: str | None
    user_namespace: bool
    ready_fd: int
    proc_fd: int
    leash_fd: int | None


async def supervise(plan: Plan) -> None:
    folder = Path(plan.folder)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    if plan.leash_fd is not None:
        loop.add_reader(plan.leash_fd, done.set)
    network.bridge_up()
    rack = Rack(folder=folder, accel=await accel.choose(os.environ), facts=_facts(plan))
    # The accelerator probe above waits for its own child, so orphans are reaped from here on.
    loop.add_signal_handler(signal.SIGCHLD, reap_orphans)
    router = network.start_router(folder / "router.log")
    await asyncio.gather(*(rack.add(machine) for machine in plan.machines))
    if plan.server is not None:
        await rack.start_server(plan.server, plan.server_env, listen_fd=plan.listen_fd)
    runner = web.AppRunner(endpoint.application(rack), access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "control.sock")).start()
    await web.TCPSite(runner, "127.0.0.1", endpoint.PORT).start()
    rack.write()
    _tell(plan.ready_fd, {"ready": True})
    await done.wait()
    if plan.leash_fd is not None:
        loop.remove_reader(plan.leash_fd)
    await runner.cleanup()
    await rack.close()
    await router.stop(grace_s=1)


def _facts(plan: Plan) -> dict[str, Any]:
    """What lab.json says for the lab's whole life; `pid` is as the host sees it."""
    # The host's procfs resolves "self" in its own pid namespace, whoever asks.
    host_pid = int(os.readlink("self", dir_fd=plan.proc_fd))
    os.close(plan.proc_fd)
    return {
        "name": plan.name,
        "folder": plan.folder,
        "pid": host_pid,
        "user_namespace": plan.user_namespace,
        "control": f"{plan.folder}/control.sock",
        "power_url": f"http://127.0.0.1:{endpoint.PORT}",
        "server_url": plan.server_url,
        "bridge": network.BRIDGE,
        "address": network.IPV4,
    }


def _tell(ready_fd: int, document: dict[str, Any]) -> None:
    with os.fdopen(ready_fd, "w") as pipe:
        pipe.write(json.dumps(document) + "\n")


def main() -> int:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    os.umask(0o077)
    try:
        asyncio.run(supervise(plan))
    except LabError as error:
        _tell(plan.ready_fd, {"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
