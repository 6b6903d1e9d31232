# SPDX-License-Identifier: Apache-2.0
"""What the operator decided beforehand; the server fills it from its settings."""

from dataclasses import dataclass
from typing import Literal

Start = Literal["swift", "cloud-init"]
Enlist = Literal["accept", "hold", "deny"]
Datasource = Literal["nocloud", "maas"]
Arriving = Literal["show", "apply"]


@dataclass(frozen=True)
class Policy:
    """`enlist`: may an unknown machine send its data: yes, after a person's yes, or no.

    `start`: "swift" lets the agent run before and, wherever that gives the same results, without
    systemd and cloud-init.

    `datasource`: how the cloud-init of a stock image gets its seed; `kernel_options` are for every
    machine, before what is chosen for its tags and for itself.

    `manifest`: "apply" gives a New machine that is in the manifest its name, pool, tags and place.

    Times in seconds. A nonce lives as long as the slowest boot; `silence_s` is how long an agent
    may be unheard of before its run has failed; `arrive_s` how long a machine told to commission
    may take to its first sign; `commission_retries` how often a commissioning whose machine fell
    silent begins anew by itself (a script that failed is not tried again: it would fail again).
    Power: a goal's deadline, how many BMCs are acted on at once in all and in one /24 or /64, and
    how often a machine's state is looked at.
    """

    enlist: Enlist = "accept"
    manifest: Arriving = "show"
    # The server as machines reach it; files and metadata may be served from elsewhere (a proxy).
    url: str = "http://127.0.0.1:8472"
    files_url: str = ""
    metadata_url: str = ""
    start: Start = "swift"
    datasource: Datasource = "nocloud"
    kernel_options: str = ""
    ntp_servers: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    nonce_s: float = 1800
    # With the agent's grace of 2 s, an abort stops everything within 5 s.
    heartbeat_s: float = 2.5
    silence_s: float = 90
    arrive_s: float = 1800
    commission_retries: int = 1
    power_s: float = 180
    # Whether commissioning makes a user in the machine's BMC unless asked otherwise.
    bmc_config: bool = False
    power_at_once: int = 100
    power_a_subnet: int = 50
    poll_s: float = 60
    hold_s: float = 3
    # Machines that fetch kernel and initrd, and root file systems, at once; agents' requests.
    boots_at_once: int = 256
    roots_at_once: int = 64
    agents_at_once: int = 256
    output_limit: int = 10 * 1024 * 1024
