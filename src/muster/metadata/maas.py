# SPDX-License-Identifier: Apache-2.0
"""The seed in MAAS's layout, for stock images whose cloud-init looks for the datasource MAAS.

What cloud-init (25.1) asks for, in this order: the preseed named by `cloud-config-url=` without a
key, then with one instance-id (twice), local-hostname, public-keys, vendor-data and user-data. The
key is OAuth 1.0 PLAINTEXT: its secret is the boot's nonce, so that it opens what the nonce opens,
once and for one boot. Time stamps are not looked at: a machine with an empty clock battery gets in.
"""

import json
import re
from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from litestar import MediaType, get
from litestar.exceptions import NotFoundException
from litestar.params import HeaderParameter, Parameter

from muster.lifecycle import timeline
from muster.lifecycle.policy import Policy
from muster.lifecycle.secrets import Forbidden
from muster.machine.phases import Purpose
from muster.metadata import seed
from muster.store.boots import Boot
from muster.store.engine import Store

Version = Annotated[str, Parameter(pattern="^(latest|2012-03-01)$")]
OAuth = Annotated[
    str,
    HeaderParameter(
        name="Authorization",
        required=False,
        description="`OAuth ...`, signed PLAINTEXT with the key of the preseed.",
    ),
]


@get(
    "/MAAS/metadata/{version:str}/by-id/{nonce:str}", media_type=MediaType.TEXT, sync_to_thread=True
)
def preseed(
    version: Version,
    nonce: Annotated[str, Parameter(max_length=128)],
    store: Store,
    policy: Policy,
    now: datetime,
) -> str:
    """Where the metadata is and the key to it, as cloud-init's configuration."""
    boot = timeline.seed_served(store, now, nonce=nonce)
    source = {
        "metadata_url": f"{policy.metadata_url or policy.url}/MAAS/metadata/",
        "consumer_key": boot.id,
        "token_key": boot.id,
        "token_secret": nonce,
    }
    return "#cloud-config\n" + json.dumps({"datasource": {"MAAS": source}}) + "\n"


@get(
    "/MAAS/metadata/{version:str}/meta-data/{item:str}",
    media_type=MediaType.TEXT,
    sync_to_thread=True,
)
def maas_meta_data(
    version: Version,
    item: Annotated[str, Parameter(max_length=64)],
    store: Store,
    policy: Policy,
    now: datetime,
    authorization: OAuth = "",
) -> str:
    """One value; 404 for what there is none of, which cloud-init takes for absent."""
    boot = _boot(store, now, authorization)
    if item == "public-keys" and boot.purpose == Purpose.COMMISSION and policy.ssh_keys:
        return "".join(f"{key}\n" for key in policy.ssh_keys)
    values = {"instance-id": seed.instance_id(boot.id), "local-hostname": seed.HOSTNAME}
    if item not in values:
        raise NotFoundException(f"there is no {item[:64]!r} for this boot")
    return values[item]


@get("/MAAS/metadata/{version:str}/user-data", media_type=MediaType.TEXT, sync_to_thread=True)
def maas_user_data(
    version: Version, store: Store, policy: Policy, now: datetime, authorization: OAuth = ""
) -> str:
    """The same as NoCloud's."""
    nonce = _secret(authorization)
    boot = _boot(store, now, authorization, user_data=True)
    return seed.user_data(policy, nonce, Purpose(boot.purpose))


_WORD = re.compile(r'(oauth_[a-z_]+)="([^"]*)"')


def _boot(store: Store, now: datetime, authorization: str, *, user_data: bool = False) -> Boot:
    boot = timeline.seed_served(store, now, nonce=_secret(authorization), user_data=user_data)
    if _words(authorization).get("oauth_token") != boot.id:
        raise Forbidden(f"the OAuth token is not that of boot {boot.id}", status=403)
    return boot


def _secret(authorization: str) -> str:
    """The token's secret. PLAINTEXT (RFC 5849, 3.4.4): consumer's secret, '&', token's secret."""
    words = _words(authorization)
    signature = words.get("oauth_signature", "")
    if words.get("oauth_signature_method") != "PLAINTEXT" or not signature.startswith("&"):
        raise Forbidden("the header Authorization: OAuth, signed PLAINTEXT, is missing", status=401)
    return signature[1:129]


def _words(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "oauth":
        return {}
    return {name: unquote(value) for name, value in _WORD.findall(rest[:2048])}
