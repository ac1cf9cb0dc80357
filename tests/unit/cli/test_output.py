import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from strongroom.platform.console.output import Output
from strongroom.platform.tenants.states import TenantState

ROWS = [
    {"slug": "acme", "state": TenantState.ACTIVE, "at": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "size": 3},
    {"slug": "other", "state": TenantState.PENDING, "at": None, "size": 4},
]
COLUMNS = {"slug": "Workspace", "state": "State", "at": "Since"}


def test_json_is_one_document_on_standard_output_and_nothing_else(capsys):
    output = Output(as_json=True)
    with output.progress("Working") as advance:
        advance("one")
    output.say("a word on the side")
    output.table(ROWS, COLUMNS, empty="nothing")
    out, err = capsys.readouterr()
    assert json.loads(out)[0] == {"slug": "acme", "state": "active", "at": "2026-03-04T05:06:07+00:00", "size": 3}
    assert json.loads(out)[1]["at"] is None
    assert "a word on the side" in err


def test_in_a_pipe_a_table_is_tab_separated_with_a_heading(capsys):
    Output().table(ROWS, COLUMNS, empty="nothing")
    assert capsys.readouterr().out.splitlines() == [
        "Workspace\tState\tSince",
        "acme\tactive\t2026-03-04T05:06:07Z",
        "other\tpending\t",
    ]


def test_without_rows_json_is_an_empty_list_and_people_read_a_sentence(capsys):
    Output(as_json=True).table([], COLUMNS, empty="No workspaces yet.")
    Output().table([], COLUMNS, empty="No workspaces yet.")
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert err == "No workspaces yet.\n"


def test_an_error_is_a_sentence_and_with_json_a_document_too(capsys):
    Output(as_json=True).error("There is no workspace “x”.", 3)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": "There is no workspace “x”.", "exit_code": 3}
    assert err == "strongroom: There is no workspace “x”.\n"


def test_text_from_outside_is_not_taken_for_markup(capsys):
    Output().record({"name": "[red]Acme[/red]"})
    assert "[red]Acme[/red]" in capsys.readouterr().out


def test_numbers_keep_every_digit(capsys):
    Output(as_json=True).record({"amount": Decimal("10.10")})
    assert json.loads(capsys.readouterr().out) == {"amount": "10.10"}


def test_what_has_no_json_form_is_a_bug_not_a_guess():
    with pytest.raises(TypeError, match="no JSON form"):
        Output(as_json=True).record({"x": object()})
