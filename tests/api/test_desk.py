"""Every endpoint's good day."""

import hashlib
from typing import Any

from tests.api.desk import MAC, UUID, Desk, resources, story


def operations(desk: Desk) -> set[tuple[str, str]]:
    paths = desk.client.get("/api/openapi.json").json()["paths"]
    return {(method, path) for path, found in paths.items() for method in found}


def test_every_endpoint_of_the_document_answers_a_good_request(desk: Desk) -> None:
    seen: set[tuple[str, str]] = set()

    def good(method: str, template: str, status: int = 200, **more: Any) -> Any:
        words = more.pop("words", {})
        key = more.pop("token", desk.keys["admin"])
        headers = {"Authorization": f"Bearer {key}"}
        answer = desk.client.request(method, template.format(**words), headers=headers, **more)
        assert answer.status_code == status, f"{method} {template}: {answer.text}"
        seen.add((method.lower(), template))
        return answer

    good("GET", "/healthz")
    good("GET", "/boot/start.ipxe")
    good("GET", "/agent/agent.pyz")
    script = good("GET", "/boot/ipxe", params={"mac": MAC, "uuid": UUID, "arch": "x86_64"})
    nonce = {"nonce": script.text.split("/boot/report/")[1].split()[0]}
    good("POST", "/boot/report/{nonce}", 204, words=nonce, json={"phase": "root", "status": "done"})
    for name in ("meta-data", "user-data", "vendor-data", "network-config"):
        good("GET", f"/metadata/{{nonce}}/{name}", words=nonce)
    evidence = {"uuid": UUID, "nics": [{"mac": MAC}]}
    hello = {"evidence": evidence, "key": "k", **nonce}
    welcome = good("POST", "/agent/hello", json=hello).json()
    token = welcome["token"]
    item = welcome["scripts"][0]
    body = good("GET", "/agent/scripts/{sha}".replace("sha", "sha256"), words=item, token=token)
    assert hashlib.sha256(body.content).hexdigest() == item["sha256"]
    told = story(welcome, document=resources())
    ack = good("POST", "/agent/events", json={"events": told}, token=token).json()
    assert ack["seq"] == len(told)

    machine = "/api/v1/machines/{reference}"
    words = {"reference": welcome["machine"]}
    good("GET", "/api/v1/machines")
    good("GET", machine, words=words)
    boot = good("GET", machine + "/boots", words=words).json()[0]
    run = good("GET", machine + "/runs", words=words).json()[0]
    good("GET", "/api/v1/boots")
    good("GET", "/api/v1/boots/{boot}", words={"boot": boot["id"]})
    good("GET", "/api/v1/runs/{run}", words={"run": run["id"]})
    result = {"result": run["results"][0]["id"]}
    good("GET", "/api/v1/results/{result}", words=result)
    output = good("GET", "/api/v1/results/{result}/output", words=result)
    assert output.content == b"\x00\xffhello\n"
    assert output.headers["muster-state"] == "passed"
    survey = next(r for r in run["results"] if "commissioning" in r["name"])
    assert survey["state"] == "passed", survey["reason"]
    document = good("GET", machine + "/resources", words=words)
    assert document.content == resources()
    good("GET", "/api/v1/events")
    good("GET", "/api/v1/clashes")
    good("GET", "/api/v1/images")
    good("GET", "/api/v1/whoami")

    good("POST", machine + "/accept", words=words)
    good("POST", machine + "/deny", words=words, json={"reason": "not ours"})
    good("POST", machine + "/commission", words=words, json={"enable_ssh": True})
    good("POST", machine + "/abort", words=words)
    good("PUT", machine + "/power", words=words, json={"driver": "manual", "parameters": {}})
    good("POST", machine + "/power/{goal}", 202, words={**words, "goal": "off"})
    good("PATCH", machine, words=words, json={"name": "web-1"})
    good("DELETE", machine, 204, words={"reference": "web-1"})
    with desk.store.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM machines").scalar() == 0
    good("POST", "/api/v1/logout", 204)
    # Signing in is test_signing_in's.
    assert operations(desk) - seen == {("post", "/api/v1/login")}


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


def test_power_parameters_are_never_shown(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    parameters = {"power_on_uri": "http://10.0.0.1/on", "power_pass": "hush-hush"}
    parameters["power_off_uri"] = "http://10.0.0.1/off"
    body = {"driver": "webhook", "parameters": parameters}
    answer = desk.ask("PUT", f"/machines/{name}/power", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["power_driver"] == "webhook"
    everything = answer.text + desk.ask("GET", "/machines").text + desk.ask("GET", "/events").text
    assert "hush-hush" not in everything


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
