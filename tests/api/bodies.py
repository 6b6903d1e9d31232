"""A right body for every endpoint that takes one, and a name that nobody has for every other."""

from tests.api.desk import MAC, UUID

CHOICE = {"enable_ssh": True, "scripts": ["a"], "tests": ["none"], "destroy": "x"}
BODIES = {
    "/api/v1/login": {"user": "admin", "password": "x"},
    "/api/v1/machines": {
        **{"name": "web-1", "macs": [MAC], "uuid": UUID, "serial": "S1"},
        **{"driver": "manual", "parameters": {"a": "b"}},
    },
    "/api/v1/machines/{reference}": {"name": "web-1"},
    "/api/v1/machines/{reference}/commission": CHOICE,
    "/api/v1/machines/{reference}/deny": {"reason": "not ours"},
    "/api/v1/machines/{reference}/power": {"driver": "manual", "parameters": {"a": "b"}},
    "/api/v1/hosts": {"name": "lxd1", "parameters": {"a": "b"}},
    "/api/v1/hosts/{reference}/machines": {"instances": ["web"], "everything": False},
    "/api/v1/hosts/{reference}/instances": {
        "name": "web",
        "kind": "container",
        "cores": 1,
        "memory_bytes": 1 << 30,
        "disk_bytes": 0,
        "pool": "p",
        "network": "n",
        "image": "i",
    },
    "/boot/report/{nonce}": {"phase": "root", "status": "done", "detail": "x", "uptime_s": 1.5},
    "/agent/hello": {
        "evidence": {"uuid": UUID, "serial": "S1", "nics": [{"mac": MAC, "name": "eth0"}]},
        "nonce": "nonce",
        "key": "key",
        "kernel": "6.1",
    },
    "/agent/events": {
        "events": [{"seq": 1, "kind": "finished", "result": 1, "reason": "r", "exit_status": 0}]
    },
    "/api/v1/machines/{reference}/test": CHOICE,
    "/api/v1/users": {"name": "jo", "role": "viewer", "password": "long enough to be one"},
    "/api/v1/users/{person}": {"role": "viewer", "password": "long enough to be one"},
    "/api/v1/keys": {"name": "backup"},
    "/api/v1/machines/{reference}/override": {"reason": "r"},
    "/api/v1/results/{result}/suppress": {"reason": "r"},
    "/api/v1/scripts": {"source": "IyEvYmluL3NoCg==", "name": "mine", "comment": "c"},
    "/api/v1/scripts/lint": {"source": "IyEvYmluL3NoCg==", "name": "mine"},
    "/api/v1/scripts/{name}": {"enabled": True, "tags": ["a"], "timeout_s": 5},
    "/api/v1/tags/{tag}": {"comment": "c", "kind": "expression", "definition": "virtual"},
    "/api/v1/tags/{tag}/machines": {"add": ["web-1"], "remove": ["web-2"]},
    "/api/v1/machines/{reference}/notes": {"text": "the fan rattles"},
}
MAKES = ("/api/v1/tags/{tag}", "/api/v1/tags/{tag}/machines")
"""What is not there is made."""

UNKNOWN = {
    "/api/v1/users/{person}": "person",
    "/api/v1/keys/{key}": "key",
    "/api/v1/machines/{reference}": "reference",
    "/api/v1/machines/{reference}/boots": "reference",
    "/api/v1/machines/{reference}/runs": "reference",
    "/api/v1/machines/{reference}/resources": "reference",
    "/api/v1/machines/{reference}/versions": "reference",
    "/api/v1/machines/{reference}/diff": "reference",
    "/api/v1/machines/{reference}/commission": "reference",
    "/api/v1/machines/{reference}/test": "reference",
    "/api/v1/machines/{reference}/override": "reference",
    "/api/v1/machines/{reference}/findings": "reference",
    "/api/v1/results/{result}/suppress": "result",
    "/api/v1/scripts/{name}": "name",
    "/api/v1/scripts/{name}/source": "name",
    "/api/v1/machines/{reference}/abort": "reference",
    "/api/v1/machines/{reference}/accept": "reference",
    "/api/v1/machines/{reference}/deny": "reference",
    "/api/v1/machines/{reference}/power": "reference",
    "/api/v1/machines/{reference}/power/{goal}": "reference",
    "/api/v1/hosts/{reference}": "reference",
    "/api/v1/hosts/{reference}/refresh": "reference",
    "/api/v1/hosts/{reference}/resources": "reference",
    "/api/v1/hosts/{reference}/instances": "reference",
    "/api/v1/hosts/{reference}/instances/{instance}": "reference",
    "/api/v1/hosts/{reference}/machines": "reference",
    "/api/v1/boots/{boot}": "boot",
    "/api/v1/runs/{run}": "run",
    "/api/v1/results/{result}": "result",
    "/api/v1/results/{result}/output": "result",
    "/api/v1/tags/{tag}": "tag",
    "/api/v1/machines/{reference}/tags": "reference",
    "/api/v1/machines/{reference}/notes": "reference",
    "/api/v1/notes/{note}": "note",
}
