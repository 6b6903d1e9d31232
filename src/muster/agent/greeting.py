# SPDX-License-Identifier: Apache-2.0
"""The hello, until the server has decided what becomes of this machine.

It imports no more than it needs: what comes behind the hello takes an emulated machine half a
second to load, and the machine is on record before that.
"""

import os
import time
from pathlib import Path

from muster import __version__
from muster.agent import evidence, kept
from muster.agent.link import Link, Refused
from muster.agent.stage import Stage
from muster.wire.codec import BadMessage, decode, encode
from muster.wire.hello import Hello, Welcome


def say(text: str) -> None:
    """A line for the console and the journal."""
    print(f"muster agent: {text}", flush=True)


class Greeting:
    """Of one boot, in `folder` (a memory file system)."""

    def __init__(self, folder: Path, server: str, nonce: str, stage: Stage) -> None:
        self.folder = folder
        self.server = server
        self.stage = stage
        self.link = Link(server, say)
        self.kept = kept.find(folder)
        kept.keep(folder, self.kept)
        self._nonce = nonce

    def until_decided(self) -> Welcome:
        """Says hello again for as long as a person or the server takes to decide."""
        heard = ""
        if not self.stage.wait_for_names():
            say("udev has not named the NICs yet; they go by the kernel's names")
        while True:
            welcome = self._hello()
            if welcome.decision != "hold":
                self.link.token = welcome.token
                return welcome
            if welcome.reason != heard:
                say(f"waiting: {welcome.reason}")
                heard = welcome.reason
            time.sleep(max(0.5, welcome.retry_s))

    def _hello(self) -> Welcome:
        message = Hello(
            evidence=evidence.evidence(),
            nonce=self._nonce,
            key=self.kept.key,
            boot_mac=evidence.boot_mac(),
            architecture=os.uname().machine,
            firmware=evidence.firmware(),
            kernel=evidence.kernel(),
            agent_version=__version__,
        )
        try:
            return decode(Welcome, self.link.until_answered("/agent/hello", encode(message)))
        except Refused as error:
            return Welcome("denied", str(error))
        except BadMessage as error:
            return Welcome("denied", f"the server's answer cannot be read: {error}")
