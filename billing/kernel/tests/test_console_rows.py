"""The field that holds rows: what is read, kept, refused, and shown again."""

import pytest
from django import forms

from billing.kernel.console.rows import RowsField


class Part(forms.Form):
    name = forms.CharField(max_length=10)
    share = forms.IntegerField(min_value=1, required=False, initial=1)


class Whole(forms.Form):
    parts = RowsField(Part, rows_max=3, row_label="Part", add_label="Add part")
    title = forms.CharField()


def sent(*rows: dict) -> dict:
    """As a browser sends them."""
    cells = {
        f"parts-{number}-{name}": value for number, row in enumerate(rows) for name, value in row.items()
    }
    return cells | {"title": "x", "parts-TOTAL_FORMS": str(len(rows))}


def test_rows_are_read_in_their_order_without_empty_ones():
    form = Whole(
        sent(
            {"name": "b", "share": "2"},
            {"name": "", "share": "1"},
            {"name": "a", "share": ""},
        )
    )
    assert form.is_valid(), form.errors
    assert form.cleaned_data["parts"] == [{"name": "b", "share": 2}, {"name": "a", "share": None}]


def test_a_removed_row_is_left_out():
    form = Whole(sent({"name": "a"}, {"name": "far too long a name", "DELETE": "on"}))
    assert form.is_valid(), form.errors
    assert form.cleaned_data["parts"] == [{"name": "a", "share": None}]


@pytest.mark.parametrize(
    ("_case", "rows", "error"),
    [
        ("none", [], "This field is required."),
        ("all empty", [{"name": "", "share": "1"}], "This field is required."),
        ("one wrong", [{"name": "a", "share": "0"}], "Correct the marked rows."),
        ("one half empty", [{"name": "", "share": "2"}], "Correct the marked rows."),
        ("too many", [{"name": str(n)} for n in range(4)], "At most 3 rows."),
    ],
)
def test_what_is_refused_and_where(_case, rows, error):
    form = Whole(sent(*rows))
    assert not form.is_valid()
    assert form.errors == {"parts": [error]}


def test_without_any_row_sent_it_is_required():
    assert Whole({"title": "x"}).errors == {"parts": ["This field is required."]}


def test_what_is_wrong_is_shown_at_the_field_of_its_row():
    shown = str(Whole(sent({"name": "a", "share": "0"}))["parts"])
    assert "Ensure this value is greater than or equal to 1." in shown
    assert 'value="a"' in shown


def test_stored_rows_are_shown_with_an_empty_one_and_a_template():
    shown = str(Whole(initial={"parts": [{"name": "a", "share": 2}]})["parts"])
    assert 'name="parts-TOTAL_FORMS" value="2"' in shown
    assert 'name="parts-INITIAL_FORMS" value="0"' in shown
    assert 'name="parts-0-name"' in shown
    assert 'name="parts-1-name"' in shown
    assert 'name="parts-__prefix__-name"' in shown


def test_as_many_as_there_may_be_have_no_empty_one():
    shown = str(Whole(initial={"parts": [{"name": str(n)} for n in range(3)]})["parts"])
    assert 'name="parts-TOTAL_FORMS" value="3"' in shown


def test_the_page_has_the_script():
    assert "console/rows.js" in str(Whole().media)
