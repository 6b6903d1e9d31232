# SPDX-License-Identifier: Apache-2.0
"""What a relay in a remote rack runs by: nginx's configuration, and dnsmasq's.

Boot files are named by what they hash to, so they cross the long wire once, in slices that follow
each other to all machines that wait, and are kept. First scripts and the agent are asked for anew,
and served from the cache while the server is away. Everything else is passed on, with the machine's
address.
"""

import re
import resource
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

RELAY = "X-Muster-Relay"
"""The header by which a relay says where machines reach it; it changes this one answer only."""
CALLER = "X-Real-IP"
"""The header by which a relay says who asked it."""
TFTP_AT_ONCE = 1000

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
_URL = re.compile(r"http://(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?")
_LISTEN = re.compile(r"(?:[0-9.]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")


class CannotRelay(ValueError):
    """Says what to change."""


@dataclass(frozen=True)
class Relay:
    """`server` and `url` (as machines know the relay) are http://HOST[:PORT]; `cache_gib` at most.

    `user`: whom nginx's workers run as ("NAME GROUP"); "" keeps the one who started it.
    """

    server: str
    url: str
    listen: str
    folder: Path
    cache_gib: int = 20
    user: str = ""


def usable_url(text: str) -> str:
    """The address without its last slash when it is one of plain HTTP without a path, else ""."""
    text = text.removesuffix("/")
    return text if _URL.fullmatch(text) else ""


def configuration(relay: Relay) -> str:
    """The whole nginx.conf; raises CannotRelay."""
    for name, url in (("server", relay.server), ("--url", relay.url)):
        if not usable_url(url):
            raise CannotRelay(f"{name} {url!r}: write http://HOST[:PORT]")
    if not _LISTEN.fullmatch(relay.listen):
        raise CannotRelay(f"--listen {relay.listen!r}: write ADDRESS:PORT")
    folder = relay.folder.absolute()
    if not _PLAIN.fullmatch(str(folder)):
        raise CannotRelay(f"--cache {str(folder)!r}: nginx needs a folder without spaces or quotes")
    return _CONF.format(
        user=f"user {relay.user};\n" if relay.user else "",
        folder=folder,
        gib=relay.cache_gib,
        files=min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        listen=relay.listen,
        server=urlsplit(usable_url(relay.server)).netloc,
        url=usable_url(relay.url),
        relay=RELAY,
        caller=CALLER,
    )


def dhcp_lines(relay: Relay, *, interface: str, address: str, dhcp_server: str) -> str:
    """dnsmasq.conf: requests go to the DHCP server, loaders come from here by TFTP.

    `address` is the relay's on `interface`, where the machines are.
    """
    return f"""\
# Written by muster relay; changes are lost. Options: dnsmasq(8).
port=0
interface={interface}
bind-interfaces
except-interface=lo
no-resolv
no-hosts
log-facility=-
dhcp-relay={address},{dhcp_server}
enable-tftp
tftp-root={relay.folder.absolute()}/tftp
tftp-no-fail
tftp-max={TFTP_AT_ONCE}
"""


# A cold slice is asked for by one machine; the others of the hall wait for it and no longer: 4 MiB
# are 3 s at 10 Mbit/s, and the initrd calls 10 s without a byte a server that hangs.
_CONF = """\
# Written by muster relay at every start; changes are lost.
{user}daemon off;
worker_processes auto;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    sendfile_max_chunk 1m;
    tcp_nopush on;
    server_tokens off;
    default_type application/octet-stream;
    client_max_body_size 64m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    proxy_cache_path {folder}/files levels=1:2 keys_zone=files:10m max_size={gib}g inactive=365d
        use_temp_path=off;
    proxy_cache_path {folder}/first keys_zone=first:1m max_size=256m inactive=365d
        use_temp_path=off;

    upstream muster {{ server {server} max_fails=0; keepalive 64; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header {relay} {url};
    proxy_set_header {caller} $remote_addr;
    proxy_connect_timeout 5s;
    proxy_read_timeout 120s;

    server {{
        listen {listen} backlog=4096 reuseport;
        error_page 502 504 = @away;

        # Named by what they hash to, so the query (which boot) is no part of what is kept.
        location ~ "^/boot/files/[0-9a-f]{{64}}/[A-Za-z0-9._-]+$" {{
            mirror /.told;
            mirror_request_body off;
            slice 4m;
            # nginx goes on behind a slice that broke off (1.22): the answer is too short then, and
            # who waits for the rest of it must see the end.
            keepalive_timeout 0;
            proxy_pass http://muster$uri;
            proxy_set_header Connection "";
            # One header set here is none inherited.
            proxy_set_header Host $http_host;
            proxy_set_header {relay} {url};
            proxy_set_header {caller} $remote_addr;
            proxy_set_header Range $slice_range;
            proxy_cache files;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 365d;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 60s;
            proxy_cache_lock_age 60s;
            # An initrd that got other bytes than it should asks so.
            proxy_cache_bypass $http_cache_control;
            proxy_cache_use_stale error timeout invalid_header http_500 http_502 http_503 http_504;
            add_header X-Cache $upstream_cache_status;
        }}

        # The server notes who fetched what on the timeline, though it sends nothing.
        location = /.told {{
            internal;
            proxy_method HEAD;
            proxy_pass http://muster$request_uri;
        }}

        # Loaders, first scripts, the agent: the server's own, or the last known while it is away.
        location ~ "^/(boot/(loader/[a-z0-9.]+|start\\.ipxe)|grub/grub\\.cfg|agent/agent\\.pyz)$" {{
            proxy_pass http://muster;
            proxy_cache first;
            proxy_cache_key {url}$uri;
            proxy_ignore_headers Cache-Control Expires Vary Set-Cookie;
            proxy_cache_valid 200 5s;
            proxy_cache_revalidate on;
            proxy_cache_lock on;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
            add_header X-Cache $upstream_cache_status;
        }}

        location / {{
            proxy_pass http://muster;
            proxy_buffering off;
            proxy_request_buffering off;
        }}

        location @away {{
            default_type text/plain;
            add_header Retry-After 5 always;
            return 502 "the relay does not reach the server {server}\\n";
        }}
    }}
}}
"""
