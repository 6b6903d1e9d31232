"""A secret goes in and is found nowhere again: looked for with a search over everything."""

import sqlalchemy as sa
from tests.api.desk import Desk

from muster.power import drivers
from muster.store.schema import metadata

SECRET = "tell-NOBODY-5c1e"
PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----"


def everything_stored(desk: Desk) -> str:
    with desk.store.read() as tx:
        return "".join(
            repr(row) for table in metadata.sorted_tables for row in tx.execute(sa.select(table))
        )


def test_a_bmc_secret_is_in_no_answer_event_or_row(desk: Desk, caplog) -> None:
    name = desk.enlist()["machine"]
    for driver in drivers.names():
        known = drivers.load(driver).PARAMETERS
        given = {
            key: SECRET if parameter.secret else (parameter.choices or ("10.0.0.5",))[0]
            for key, parameter in known.items()
        }
        for key, parameter in known.items():
            if parameter.pem:
                given[key] = PEM.format(SECRET.replace("-", "+") if parameter.secret else "AAAA")
        body = {"driver": driver, "parameters": given}
        answer = desk.ask("PUT", f"/machines/{name}/power", json=body)
        assert answer.status_code == 200, (driver, answer.text)
        said = answer.text
        for path in ("", "/power", "/boots", "/runs"):
            said += desk.ask("GET", f"/machines/{name}{path}").text
        said += desk.ask("GET", "/machines").text + desk.ask("GET", "/events").text
        said += desk.client.get("/metrics").text + caplog.text + everything_stored(desk)
        assert "machine.power_set" in said
        assert SECRET not in said, driver
        assert SECRET.replace("-", "+") not in said, driver


def test_what_is_shown_of_a_switch_names_its_secrets_and_not_their_values(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    given = {"name": "m1", "power_pass": SECRET}
    desk.ask("PUT", f"/machines/{name}/power", json={"driver": "fake", "parameters": given})
    shown = desk.get(f"/machines/{name}/power")
    assert shown["driver"] == "fake"
    assert shown["parameters"] == {"name": "m1", "delay_s": "0", "fault": ""}
    assert shown["secrets"] == ["power_pass"]


def test_a_refused_parameter_is_named_without_its_value(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    body = {"driver": "fake", "parameters": {"name": "m1", "power_pass": f"{SECRET}\n"}}
    answer = desk.ask("PUT", f"/machines/{name}/power", json=body)
    assert (answer.status_code, SECRET in answer.text) == (400, False)
    assert answer.json()["detail"] == "power_pass: holds a character that cannot be printed"


def test_without_the_key_file_the_answer_says_what_to_do(desk: Desk) -> None:
    name = desk.enlist()["machine"]
    body = {"driver": "fake", "parameters": {"name": "m1", "power_pass": SECRET}}
    desk.keyring.file.rename(desk.keyring.file.with_suffix(".away"))
    try:
        answer = desk.ask("PUT", f"/machines/{name}/power", json=body)
    finally:
        desk.keyring.file.with_suffix(".away").rename(desk.keyring.file)
    assert answer.status_code == 500
    assert "restore it from its backup" in answer.json()["detail"]
