# SPDX-License-Identifier: Apache-2.0
"""The gatepost: one command tree. Each command's module is imported only when it is called.

Client commands come from cli/, local ones from the rooms that do the work.
"""

import os
import sys
from importlib import import_module
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from muster import __version__

app = cyclopts.App(
    name="muster",
    help="Rack it, cable it, power it on: know it.",
    version=__version__,
    # Machines' texts are shown as they are; nothing in them is markup.
    help_format="plaintext",
)

_COMMANDS = {
    "serve": ("muster.server.commands:serve", "Serve machines and people until stopped."),
    "settings": ("muster.server.commands:settings", "Explain every setting and its origin."),
    "doctor": ("muster.server.commands:doctor", "Check interface, ports, image, clock, tools."),
    "rotate-secrets": ("muster.server.commands:rotate_secrets", "Seal BMC secrets with a new key."),
    "image": ("muster.images.commands:app", "Build and keep the ephemeral OS."),
    "lab": ("muster.lab.commands:app", "A virtual rack to try everything in."),
    "login": ("muster.cli.login:login", "Sign in and keep an API key."),
    "logout": ("muster.cli.login:logout", "Forget the API key and make it useless."),
    "machines": ("muster.cli.machines:machines", "List machines."),
    "view": ("muster.cli.views:app", "Saved views of the list of machines."),
    "show": ("muster.cli.show:show", "One machine: hardware, runs, last boot's timeline."),
    "diff": ("muster.cli.history:diff", "What changed in a machine's hardware."),
    "component": ("muster.cli.history:component", "Where a DIMM, disk, NIC or GPU has been."),
    "boots": ("muster.cli.show:boots", "Attempts to start, also of unknown machines."),
    "commission": ("muster.cli.tests:commission", "Accept a machine and commission it."),
    "test": ("muster.cli.tests:run_tests", "Test a machine's hardware."),
    "override": ("muster.cli.tests:override", "Call a machine that failed its tests Ready."),
    "suppress": ("muster.cli.tests:suppress", "Do not count a result."),
    "findings": ("muster.cli.tests:findings", "LLDP neighbours, subnets, serial ports ..."),
    "tag": ("muster.cli.tags:tag", "Tags: by hand, or by a condition over the hardware."),
    "machine": ("muster.cli.tags:machine", "Say something of a machine: tags, notes, its pool."),
    "rule": ("muster.cli.rules:rule", "What happens by itself to machines that are so."),
    "profile": ("muster.cli.profiles:profile", "What hardware is expected."),
    "deviations": ("muster.cli.profiles:deviations", "Machines that are not as a profile says."),
    "odd-ones": ("muster.cli.profiles:odd_ones", "Machines that are not as most of their model."),
    "manifest": ("muster.cli.manifest:manifest", "The machines that should come."),
    "clashes": ("muster.cli.clashes:clashes", "Machines that claim what another record has."),
    "clash": ("muster.cli.clashes:clash", "Say who is who."),
    "abort": ("muster.cli.verbs:abort", "End what a machine is doing."),
    "accept": ("muster.cli.verbs:accept", "Permit a held machine to send its data."),
    "deny": ("muster.cli.verbs:deny", "Refuse a New machine."),
    "delete": ("muster.cli.verbs:delete", "Forget a machine."),
    "rename": ("muster.cli.verbs:rename", "Give a machine another name."),
    "add": ("muster.cli.verbs:add", "Add a machine that was never on, with its BMC."),
    "power": ("muster.cli.verbs:power", "Switch a machine on, off or off and on."),
    "power-driver": ("muster.cli.verbs:power_driver", "Say how a machine is switched."),
    "bmc": ("muster.cli.bmcs:app", "BMCs: find them, their logs, virtual drives."),
    "host": ("muster.cli.hosts:app", "Hosts of virtual machines (LXD, Incus)."),
    "user": ("muster.cli.people:user", "Who may sign in, and as what."),
    "key": ("muster.cli.people:key", "Your API keys and sessions."),
    "operation": ("muster.cli.acting:operation", "What takes long: show it, wait for it."),
    "logs": ("muster.cli.logs:logs", "What a machine's scripts printed."),
    "events": ("muster.cli.logs:events", "What happened."),
    "completion": ("muster.cli.completion:completion", "Make TAB complete: bash, zsh, fish."),
    "simulate": ("muster.lab.simulation:simulate", "Machines that do not exist, by thousands."),
    "demo": ("muster.lab.demo:demo", "Watch virtual bare machines become Ready."),
}

for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)

script = cyclopts.App(name="script", help="Scripts that machines run: check, try, add, compare.")
for _name, _help in {
    "lint": "Say everything that is wrong with scripts; needs no server.",
    "add": "Add a script, or its next version.",
    "list": "List scripts, built-in ones among them.",
    "show": "One script: its metadata and versions, or its bytes.",
    "diff": "What changed between two versions.",
    "compare": "What a test measured on each machine, beside others of its model.",
    "change": "Change how a script is used from the next run on.",
    "remove": "Forget a script, or what you changed about a built-in one.",
}.items():
    _function = "list_" if _name == "list" else _name
    script.command(f"muster.scripts.commands:{_function}", name=_name, help=_help)
script.command(
    "muster.lab.trying:try_script",
    name="try",
    help="Run a script in a virtual machine of its own and show what the server says of it.",
)
app.command(script)

dhcp = cyclopts.App(name="dhcp", help="Beside another DHCP server.")
dhcp.command(
    "muster.server.commands:dhcp_snippet",
    name="snippet",
    help="Print the lines for Kea, ISC, dnsmasq, Windows, or for an iPXE of your own.",
)
dhcp.command(
    "muster.server.commands:dhcp_kea",
    name="kea",
    help="Print the configuration of one of a pair of Kea servers.",
)
app.command(dhcp)

nginx = cyclopts.App(name="nginx", help="Boot files at large sites.")
nginx.command(
    "muster.server.commands:nginx_snippet",
    name="snippet",
    help="Print the lines that make nginx serve boot files.",
)
app.command(nginx)

relay = cyclopts.App(name="relay", help="A cache in a remote rack, built on nginx.")
for _name, _help in {
    "snippet": "Print nginx's configuration of a relay.",
    "dhcp": "Print dnsmasq's configuration of a relay: DHCP passed on, loaders by TFTP.",
    "run": "Run nginx by it, and with --interface dnsmasq, in the foreground.",
}.items():
    relay.command(f"muster.server.relaying:{_name}", name=_name, help=_help)
app.command(relay)

inventory = cyclopts.App(name="inventory", help="A machine's hardware as an archive, and back.")
inventory.command(
    "muster.collect.commands:capture",
    name="capture",
    help="Write what muster reads of this machine into an archive.",
)
inventory.command(
    "muster.collect.commands:read",
    name="read",
    help="Print the resources document of a captured machine.",
)
app.command(inventory)


@app.command(name="complete", show=False)
def _complete(*words: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """What a word can become: for the shell's part of the completion."""
    # Only here is the whole tree of commands known; nobody else waits for what it needs.
    import_module("muster.cli.completion").complete(app, words)


def main() -> None:
    """Run the command; its return value is the exit status."""
    try:
        result = app()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
