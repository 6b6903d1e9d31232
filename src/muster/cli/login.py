# SPDX-License-Identifier: Apache-2.0
"""Sign in, sign out."""

import getpass
import json
import os
import socket
import sys

from muster.cli.client import ApiError, Client, credentials_file, fail


def login(server: str, /, *, user: str = "admin", password_stdin: bool = False) -> None:
    """Sign in and keep an API key.

    Parameters
    ----------
    server
        Address, as http://SERVER:8472
    user
        User name
    password_stdin
        Read the password from standard input instead of asking
    """
    password = _password(user, stdin=password_stdin)
    client = Client(server)
    body = {"user": user, "password": password, "key_name": f"{socket.gethostname()} login"}
    try:
        key = client.send("POST", "/login", body)["key"]
    except ApiError as error:
        fail(str(error))
    file = credentials_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"server": client.server, "key": key}, out)
    os.replace(part, file)
    print(f"signed in to {client.server} as {user}; the key is kept in {file}")


def logout() -> None:
    """Forget the API key and make it useless."""
    try:
        Client().send("POST", "/logout")
    except ApiError as error:
        if error.status != 401:
            fail(str(error))
    credentials_file().unlink(missing_ok=True)


def _password(user: str, *, stdin: bool) -> str:
    return sys.stdin.readline().strip() if stdin else getpass.getpass(f"password of {user}: ")
