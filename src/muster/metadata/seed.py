# SPDX-License-Identifier: Apache-2.0
"""The cloud-init seed (NoCloud): the same for every machine but for its nonce.

JSON is YAML, so everything here is written by a JSON library and nothing can break out.
cloud-init 25.1 asks for network-config first and retries a 404 eleven times with a second
between; an empty answer costs nothing.
"""

import json
from typing import Any

from muster.lifecycle.policy import Policy
from muster.machine.phases import Purpose

FOLDER = "/run/muster"
HOSTNAME = "muster"

# The agent is fetched by its unit, not by cloud-init: systemd then repeats both for ever.
_RUN = f"""\
#!/bin/sh
# Fetches the agent with whatever this image has, and becomes it.
url="$1/agent/agent.pyz"
to={FOLDER}/agent.pyz
curl -fsS --max-time 30 -o "$to.part" "$url" \\
  || wget -q -T 30 -O "$to.part" "$url" \\
  || python3 -c 'import sys, urllib.request as u; u.urlretrieve(*sys.argv[1:])' "$url" "$to.part" \\
  || {{ echo "muster: cannot fetch $url" >&2; exit 1; }}
mv "$to.part" "$to" && exec python3 -I "$to" run {FOLDER}
"""

# bootcmd runs in cloud-init's first stage that has the seed; runcmd would wait for its last one.
# A transient unit needs no daemon-reload, which would run every generator again.
# The initrds of stock images (initramfs-tools) mount /run noexec; scripts run in this folder.
_START = f"""\
set -e
mkdir -p -m 700 {FOLDER}
printf '#!/bin/sh\\n' > {FOLDER}/may-run && chmod 700 {FOLDER}/may-run
{FOLDER}/may-run || mount -t tmpfs -o mode=700,nosuid,nodev,size=25% muster {FOLDER}
umask 077
printf %s "$1" > {FOLDER}/agent.json
printf %s "$2" > {FOLDER}/run
exec systemd-run --quiet --no-block --unit=muster-agent --property=DefaultDependencies=no \\
  --property=Restart=on-failure --property=RestartSec=1 --property=StartLimitIntervalSec=0 \\
  --property=OOMScoreAdjust=-900 --property=StandardOutput=journal+console \\
  --property=StandardError=journal+console --setenv=MUSTER_AGENT={FOLDER}/agent.pyz \\
  --setenv=PYTHONDONTWRITEBYTECODE=1 /bin/sh {FOLDER}/run "$3"
"""


def instance_id(boot: str) -> str:
    """The boot's own: every boot is a first boot for cloud-init."""
    return f"muster-{boot}"


def meta_data(boot: str) -> str:
    """What NoCloud calls meta-data."""
    return json.dumps({"instance-id": instance_id(boot), "local-hostname": HOSTNAME}) + "\n"


def user_data(policy: Policy, nonce: str, purpose: Purpose) -> str:
    """#cloud-config: starts the agent, sets the clock, and keys when commissioning only."""
    agent = json.dumps({"server": policy.url, "nonce": nonce})
    config: dict[str, Any] = {
        "bootcmd": [["sh", "-c", _START, "muster", agent, _RUN, policy.url]],
        "ssh_deletekeys": False,
        "ssh_pwauth": False,
        "disable_root": False,
    }
    if policy.ntp_servers:
        config["ntp"] = {"enabled": True, "servers": list(policy.ntp_servers)}
    if purpose == Purpose.COMMISSION and policy.ssh_keys:
        config["users"] = [{"name": "root", "ssh_authorized_keys": list(policy.ssh_keys)}]
        config["runcmd"] = [["systemctl", "start", "--no-block", "ssh.service"]]
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"
