"""Every endpoint's good day."""

import base64
import hashlib
from typing import Any

from tests.api.desk import MAC, UUID, Desk, resources, story


def operations(desk: Desk) -> set[tuple[str, str]]:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    return {(method, path) for path, found in paths.items() for method in found}


class Tour:
    """Remembers which operations gave a good answer."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.seen: set[tuple[str, str]] = set()

    def good(self, method: str, template: str, status: int = 200, **more: Any) -> Any:
        words = more.pop("words", {})
        key = more.pop("token", self.desk.keys["admin"])
        headers = {"Authorization": f"Bearer {key}"}
        path = template.format(**words)
        answer = self.desk.client.request(method, path, headers=headers, **more)
        assert answer.status_code == status, f"{method} {template}: {answer.text}"
        self.seen.add((method.lower(), template))
        return answer


def machine_s_side(tour: Tour) -> str:
    """From the loader to the last event; returns the machine's name."""
    tour.good("GET", "/boot/start.ipxe")
    tour.good("GET", "/grub/grub.cfg")
    tour.good("GET", "/boot/grub", params={"mac": MAC, "uuid": UUID, "arch": "x86_64"})
    medium = {"mac": MAC, "uuid": UUID, "image": tour.desk.library.in_use().id}
    assert tour.good("GET", "/boot/medium", params=medium).text.startswith("start 0\n")
    tour.good("GET", "/agent/agent.pyz")
    script = tour.good("GET", "/boot/ipxe", params={"mac": MAC, "uuid": UUID, "arch": "x86_64"})
    nonce = {"nonce": script.text.split("/boot/report/")[1].split()[0]}
    tour.good("GET", "/boot/turn/{nonce}", words=nonce)
    report = {"phase": "root", "status": "done"}
    tour.good("POST", "/boot/report/{nonce}", 204, words=nonce, json=report)
    for name in ("meta-data", "user-data", "vendor-data", "network-config"):
        tour.good("GET", f"/metadata/{{nonce}}/{name}", words=nonce)
    maas_s_layout(tour, nonce)
    hello = {"evidence": {"uuid": UUID, "nics": [{"mac": MAC}]}, "key": "k", **nonce}
    welcome = tour.good("POST", "/agent/hello", json=hello).json()
    token = welcome["token"]
    assert tour.good("POST", "/agent/plan", token=token).json()["scripts"] == welcome["scripts"]
    item = welcome["scripts"][0]
    body = tour.good("GET", "/agent/scripts/{sha256}", words=item, token=token)
    assert hashlib.sha256(body.content).hexdigest() == item["sha256"]
    secret = tour.good("GET", "/agent/secrets/{result}", words=item, token=token)
    assert secret.json() == {}, "nothing was asked to be configured"
    told = story(welcome, document=resources())
    ack = tour.good("POST", "/agent/events", json={"events": told}, token=token).json()
    assert ack["seq"] == len(told)
    return str(welcome["machine"])


def maas_s_layout(tour: Tour, nonce: dict[str, str]) -> None:
    """The datasource MAAS signs with the boot's own key."""
    preseed = {"version": "latest", **nonce}
    tour.good("GET", "/MAAS/metadata/{version}/by-id/{nonce}", words=preseed)
    boot = tour.desk.get("/boots")[0]["id"]
    words = {"signature_method": "PLAINTEXT", "token": boot, "signature": f"%26{nonce['nonce']}"}
    key = "OAuth " + ", ".join(f'oauth_{name}="{word}"' for name, word in words.items())
    for rest in ("meta-data/{item}", "user-data"):
        path = "/MAAS/metadata/{version}/" + rest
        where = path.format(version="latest", item="instance-id")
        answer = tour.desk.client.get(where, headers={"Authorization": key})
        assert answer.status_code == 200, answer.text
        tour.seen.add(("get", path))


def people_s_reading(tour: Tour, words: dict[str, str]) -> None:
    machine = "/api/v1/machines/{reference}"
    tour.good("GET", "/api/v1/machines")
    tour.good("GET", "/api/v1/counts")
    tour.good("GET", machine, words=words)
    boot = tour.good("GET", machine + "/boots", words=words).json()[0]
    run = tour.good("GET", machine + "/runs", words=words).json()[0]
    tour.good("GET", "/api/v1/boots/{boot}", words={"boot": boot["id"]})
    tour.good("GET", "/api/v1/runs/{run}", words={"run": run["id"]})
    result = {"result": run["results"][0]["id"]}
    tour.good("GET", "/api/v1/results/{result}", words=result)
    output = tour.good("GET", "/api/v1/results/{result}/output", words=result)
    assert output.content == b"\x00\xffhello\n"
    assert output.headers["muster-state"] == "passed"
    survey = next(r for r in run["results"] if "commissioning" in r["name"])
    assert survey["state"] == "passed", survey["reason"]
    document = tour.good("GET", machine + "/resources", words=words)
    assert document.content == resources()
    schema = tour.good("GET", "/api/v1/schemas/resources").json()
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12/")
    tour.good("GET", machine + "/versions", words=words)
    tour.good("GET", machine + "/diff", words=words, params={"old": 1, "new": 1})
    tour.good("GET", "/api/v1/components", params={"serial": "S1"})
    found = tour.good("GET", machine + "/findings", words=words).json()
    assert {"name": "virtuality", "body": {"virtual": False, "hypervisor": ""}}.items() <= next(
        one.items() for one in found if one["name"] == "virtuality"
    )
    for path in ("boots", "events", "clashes", "images", "whoami"):
        tour.good("GET", f"/api/v1/{path}")
    tour.good("GET", "/healthz")


def people_s_scripts(tour: Tour) -> None:
    source = "#!/bin/sh\n# --- Start MAAS 1.0 script metadata ---\n# name: mine\n"
    source += "# --- End MAAS 1.0 script metadata ---\n"
    upload = {"source": base64.b64encode(source.encode()).decode()}
    assert tour.good("POST", "/api/v1/scripts/lint", json=upload).json() == []
    assert tour.good("POST", "/api/v1/scripts", json=upload).json()["script"]["version"] == 1
    words = {"name": "mine"}
    assert tour.good("GET", "/api/v1/scripts/{name}/comparison", words=words).json() == []
    kept = tour.good("GET", "/api/v1/scripts/{name}/source", words=words)
    assert kept.content == source.encode()
    change = {"enabled": False, "tags": ["a"], "thresholds": {"x": {"min": 1}}}
    changed = tour.good("PATCH", "/api/v1/scripts/{name}", words=words, json=change).json()
    assert not changed["script"]["enabled"]
    assert tour.good("GET", "/api/v1/scripts/{name}", words=words).json() == changed
    names = [script["name"] for script in tour.good("GET", "/api/v1/scripts").json()]
    assert "mine" in names
    tour.good("DELETE", "/api/v1/scripts/{name}", 204, words=words)


def people_s_judgement(tour: Tour, words: dict[str, str]) -> None:
    machine = "/api/v1/machines/{reference}"
    result = tour.desk.get(f"/machines/{words['reference']}/runs")[0]["results"][0]["id"]
    shown = tour.good("POST", "/api/v1/results/{result}/suppress", words={"result": result},
                      json={"reason": "known"}).json()  # fmt: skip
    assert shown["suppressed"] == "known"
    with tour.desk.store.write() as tx:
        tx.exec_driver_sql("UPDATE machines SET state = 'Failed testing'")
    why = {"reason": "the fan is known"}
    shown = tour.good("POST", machine + "/override", words=words, json=why).json()
    assert shown["state"] == "Ready"
    choice = {"tests": ["smartctl-validate"]}
    tour.good("POST", machine + "/test", 202, words=words, json=choice)
    tour.good("POST", machine + "/abort", words=words)
    with tour.desk.store.write() as tx:
        tx.exec_driver_sql("UPDATE machines SET state = 'New'")


def people_s_sayings(tour: Tour, words: dict[str, str]) -> None:
    machine, tag = "/api/v1/machines/{reference}", {"tag": "spare"}
    tour.good("PUT", "/api/v1/tags/{tag}", words=tag, json={"comment": "for the lab"})
    given = {"add": [words["reference"]]}
    tour.good("POST", "/api/v1/tags/{tag}/machines", words=tag, json=given)
    assert tour.good("GET", "/api/v1/tags/{tag}", words=tag).json()["machines"] == 1
    assert tour.good("GET", "/api/v1/tags").json()[-1]["name"] == "spare"
    assert tour.good("GET", machine + "/tags", words=words).json()[-1]["source"] == "hand"
    tour.good("PUT", "/api/v1/tags/{tag}/image", 204, words=tag, json={"kernel_options": "a=1"})
    assert tour.good("GET", "/api/v1/tag-images").json()["spare"]["kernel_options"] == "a=1"
    tour.good("PUT", machine + "/image", words=words, json={"kernel_options": "b=2"})
    offer = tour.good("GET", machine + "/image", words=words).json()
    assert offer["kernel_options"] == "a=1 b=2"
    tour.good("PUT", machine + "/image", words=words, json={})
    tour.good("PUT", "/api/v1/tags/{tag}/image", 204, words=tag, json={})
    tour.good("DELETE", "/api/v1/tags/{tag}", 204, words=tag)
    note = tour.good("POST", machine + "/notes", 201, words=words, json={"text": "x"}).json()
    assert tour.good("GET", machine + "/notes", words=words).json() == [note]
    assert tour.good("GET", "/api/v1/notes/{note}", words={"note": note["id"]}).json() == note
    tour.good("DELETE", "/api/v1/notes/{note}", 204, words={"note": note["id"]})


def people_s_profiles(tour: Tour, words: dict[str, str]) -> None:
    profile, named = "/api/v1/profiles/{profile}", {"profile": "small"}
    golden = {"machines": [words["reference"]]}
    kept = tour.good("POST", profile + "/learn", 201, words=named, json=golden).json()
    body = {"expected": kept["expected"]}
    assert tour.good("PUT", profile, words=named, json=body).json()["expected"] == kept["expected"]
    assert tour.good("GET", profile, words=named).json()["name"] == "small"
    (one,) = tour.good("GET", profile + "/deviations", words=named).json()["items"]
    assert one["deviations"] == []
    assert [row["name"] for row in tour.good("GET", "/api/v1/profiles").json()] == ["small"]
    assert tour.good("GET", "/api/v1/odd-ones", params={"product": "x"}).json() == []
    tour.good("DELETE", profile, 204, words=named)


def people_s_manifest(tour: Tour, words: dict[str, str]) -> None:
    manifest = "/api/v1/manifest"
    rows = {"text": f"name,mac,rack\nexpected,{MAC},R1\n"}
    assert tour.good("POST", manifest + "/import", json=rows).json()["added"] == ["expected"]
    (row,) = tour.good("GET", manifest).json()["items"]
    key = {"key": row["key"]}
    assert tour.good("GET", manifest + "/rows/{key}", words=key).json() == row
    (found,) = tour.good("GET", manifest + "/check").json()["items"]
    assert found["status"] == "mismatching"
    assert tour.good("GET", manifest + "/unexpected").json()["items"] == []
    assert tour.good("GET", manifest + "/racks").json()[0]["rack"] == "R1"
    assert "R1" in tour.good("GET", manifest + "/export").text
    expected = tour.good("GET", "/api/v1/machines/{reference}/expected", words=words).json()
    assert expected["row"] == row
    tour.good("POST", manifest + "/apply", json={"keys": []})
    tour.good("DELETE", manifest + "/rows/{key}", 204, words=key)


def people_s_rules(tour: Tour) -> None:
    rule = "/api/v1/rules/{rule}"
    words = {"rule": "web"}
    tour.good("PUT", rule, words=words, json={"condition": "state = New", "tags": ["x"]})
    (one,) = tour.good("POST", rule + "/dry-run", words=words).json()["items"]
    assert (one["holds"], one["would"]) == (True, ["get tag x"])
    assert tour.good("POST", rule + "/enable", words=words).json()["enabled"]
    assert tour.good("GET", rule, words=words).json()["tried_at"]
    assert not tour.good("POST", rule + "/disable", words=words).json()["enabled"]
    assert tour.good("GET", "/api/v1/rules").json()[0]["name"] == "web"
    tour.good("DELETE", rule, 204, words=words)


def people_s_decisions(tour: Tour, words: dict[str, str]) -> None:
    other = "52:54:00:12:34:77"
    tour.desk.client.get("/boot/ipxe", params={"mac": other, "uuid": UUID, "serial": "X"})
    clash = {"clash": tour.good("GET", "/api/v1/clashes").json()[0]["id"]}
    assert tour.good("GET", "/api/v1/clashes/{clash}", words=clash).json()["sides"]
    same = {"decision": "same", "keep": words["reference"]}
    tour.good("POST", "/api/v1/clashes/{clash}/decide", words=clash, json=same)
    made = tour.good("POST", "/api/v1/machines/{reference}/split", 201, words=words,
                     json={"macs": [other]}).json()  # fmt: skip
    split = {"clash": tour.desk.get("/clashes?decided=true")[0]["id"]}
    tour.good("POST", "/api/v1/clashes/{clash}/undo", words=split)
    assert tour.desk.ask("GET", f"/machines/{made['id']}").status_code == 404
    twin = tour.desk.ask("POST", "/machines/{reference}/split".format(**words),
                         json={"macs": [other]}).json()["id"]  # fmt: skip
    kept = tour.good(
        "POST", "/api/v1/machines/{reference}/merge", words=words, json={"other": twin}
    )
    assert other in kept.json()["macs"]


def people_s_accounts(tour: Tour) -> None:
    person = {"person": "jo"}
    body = {"name": "jo", "role": "viewer", "password": "long enough to be one"}
    assert tour.good("POST", "/api/v1/users", json=body).json()["role"] == "viewer"
    change = {"role": "operator"}
    changed = tour.good("PATCH", "/api/v1/users/{person}", words=person, json=change).json()
    assert changed["role"] == "operator"
    assert tour.good("GET", "/api/v1/users/{person}", words=person).json() == changed
    assert "jo" in [user["name"] for user in tour.good("GET", "/api/v1/users").json()]
    tour.good("DELETE", "/api/v1/users/{person}", 204, words=person)
    view, wide = {"view": "wide"}, {"query": "sort=-memory"}
    kept = tour.good("PUT", "/api/v1/views/{view}", words=view, json=wide).json()
    assert tour.good("GET", "/api/v1/views/{view}", words=view).json() == kept
    assert tour.good("GET", "/api/v1/views").json() == [kept]
    tour.good("DELETE", "/api/v1/views/{view}", 204, words=view)
    key = tour.good("POST", "/api/v1/keys", json={"name": "backup"}).json()["key"]
    assert tour.good("GET", "/api/v1/whoami", token=key).json()["role"] == "admin"
    made = tour.good("GET", "/api/v1/keys").json()[0]
    assert made["name"] == "backup"
    tour.good("DELETE", "/api/v1/keys/{key}", 204, words={"key": made["id"]})
    assert tour.desk.ask("GET", "/whoami", headers={"Authorization": f"Bearer {key}"},
                         role="").status_code == 401  # fmt: skip


def people_s_verbs(tour: Tour, words: dict[str, str]) -> None:
    machine = "/api/v1/machines/{reference}"
    tour.good("POST", machine + "/accept", words=words)
    tour.good("POST", machine + "/deny", words=words, json={"reason": "not ours"})
    tour.good("POST", machine + "/commission", 202, words=words, json={"enable_ssh": True})
    run = tour.desk.get(f"/machines/{words['reference']}/runs")[0]
    one = {"operation": f"run-{run['id']}"}
    seen = tour.good("GET", "/api/v1/operations/{operation}", words=one).json()
    assert tour.good("GET", "/api/v1/operations").json() == [seen]
    tour.good("POST", machine + "/abort", words=words)
    tour.good("POST", machine + "/mark-broken", words=words, json={"reason": "smoke"})
    fixed = tour.good("POST", machine + "/mark-fixed", words=words, json={}).json()
    assert fixed["state"] == "Ready"
    many = {"machines": [words["reference"]], "pool": "lab"}
    assert tour.good("GET", "/api/v1/pools").json() == []
    done = tour.good("POST", "/api/v1/bulk/{action}", words={"action": "pool"}, json=many).json()
    assert done["counts"] == {"done": 1}
    tour.good("PUT", machine + "/power", words=words, json={"driver": "manual", "parameters": {}})
    tour.good("GET", machine + "/power", words=words)
    tour.good("POST", machine + "/power/{goal}", 202, words={**words, "goal": "off"})
    tour.good("PATCH", machine, words=words, json={"name": "web-1"})
    tour.good("DELETE", machine, 204, words={"reference": "web-1"})
    body = {"name": "rack-1", "macs": ["52:54:00:12:34:77"], "driver": "manual"}
    assert tour.good("POST", "/api/v1/machines", 201, json=body).json()["state"] == "New"
    tour.good("DELETE", machine, 204, words={"reference": "rack-1"})
    tour.good("POST", "/api/v1/logout", 204)


def test_every_endpoint_of_the_document_answers_a_good_request(desk: Desk) -> None:
    tour = Tour(desk)
    words = {"reference": machine_s_side(tour)}
    people_s_reading(tour, words)
    people_s_scripts(tour)
    people_s_judgement(tour, words)
    people_s_sayings(tour, words)
    people_s_decisions(tour, words)
    people_s_accounts(tour)
    people_s_rules(tour)
    people_s_profiles(tour, words)
    people_s_manifest(tour, words)
    people_s_verbs(tour, words)
    with desk.store.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM machines").scalar() == 0
    # Signing in is test_signing_in's; hosts are test_hosts', which has an LXD, BMCs test_scan's.
    elsewhere = ("/api/v1/hosts", "/api/v1/bmcs")
    left = {
        (method, path)
        for method, path in operations(desk)
        if not path.startswith(elsewhere) and "/bmc/" not in path
    }
    assert left - tour.seen == {("post", "/api/v1/login")}


def test_machines_come_a_page_at_a_time_by_name(desk: Desk) -> None:
    for i in range(5):
        desk.enlist(mac=f"52:54:00:12:34:0{i}", uuid=UUID[:-1] + str(i))
    names: list[str] = []
    after = ""
    for _ in range(3):
        page = desk.get("/machines", params={"limit": 2, "after": after})
        names += [machine["name"] for machine in page["items"]]
        after = page["next"]
    assert after == ""
    assert len(names) == 5
    assert names == sorted(set(names))


def test_machines_are_listed_by_state(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    found = desk.get("/machines", params={"state": "New"})["items"]
    assert [machine["name"] for machine in found] == [name]
    assert desk.get("/machines", params={"state": "Ready"})["items"] == []


def test_a_machine_is_found_by_its_id_and_by_its_name(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    shown = desk.get(f"/machines/{name}")
    assert desk.get(f"/machines/{shown['id']}") == shown
    assert shown["macs"] == [MAC]
    assert shown["uuid"] == UUID


def test_a_password_in_a_uri_is_refused_as_uris_are_shown(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    uris = ("power_on_uri", "power_off_uri", "power_query_uri")
    parameters = dict.fromkeys(uris, "http://user:hush-hush@10.0.0.1/")
    body = {"driver": "webhook", "parameters": parameters}
    answer = desk.ask("PUT", f"/machines/{name}/power", json=body)
    assert (answer.status_code, "hush-hush" in answer.text) == (400, False)
    assert answer.json()["detail"] == (
        "power_on_uri: holds a password; put it into power_user and power_pass"
    )


def test_output_is_read_on_from_an_offset(desk: Desk) -> None:
    welcome = desk.enlist()
    result = welcome["scripts"][0]["result"]
    assert desk.events(welcome["token"], story(welcome, document=resources())).status_code == 200
    answer = desk.ask("GET", f"/results/{result}/output", params={"offset": 2})
    assert answer.content == b"hello\n"
    answer = desk.ask("GET", f"/results/{result}/output", params={"offset": 2000})
    assert answer.content == b""


def test_events_are_followed_by_the_number_of_the_last_one(desk: Desk) -> None:
    desk.enlist()
    first = desk.get("/events")
    assert first
    assert desk.get("/events", params={"after": first[-1]["id"]}) == []
    machine = desk.get("/machines")["items"][0]
    desk.ask("POST", f"/machines/{machine['id']}/accept")
    (fresh,) = desk.get("/events", params={"after": first[-1]["id"]})
    assert (fresh["kind"], fresh["actor"]) == ("machine.accepted", "admin")


def test_the_metrics_count_machines_by_state(desk: Desk) -> None:
    desk.enlist()
    text = desk.client.get("/metrics").text
    assert 'muster_machines{state="New"} 1.0' in text
    assert 'muster_machines{state="Ready"} 0.0' in text


def test_the_health_check_names_the_version(desk: Desk) -> None:
    answer = desk.client.get("/healthz")
    assert answer.json()["status"] == "ok"
    assert answer.json()["version"]
