"""Fields as lines of text: what is written is read back, and what is no line is named."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.field_text import fields_from, text_of, values_from
from approvals.models.rules import FIELD_NAME_MAX, FIELD_VALUE_MAX, FIELDS_MAX
from billing.kernel.errors import Invalid
from billing.kernel.text import DIRECTION_OVERRIDES, UNSEEN, is_one_line

SIGNS = st.characters(exclude_categories=tuple(UNSEEN), exclude_characters="".join(DIRECTION_OVERRIDES))


# What the API takes: any signs, or mostly those that mean something here.
LINES = (
    (st.text(SIGNS, min_size=1, max_size=12) | st.text('",:; ab', min_size=1, max_size=12))
    .map(str.strip)
    .filter(is_one_line)
)
FIELDS = st.dictionaries(LINES, st.lists(LINES, min_size=1, max_size=3), max_size=4)


@given(FIELDS)
@settings(suppress_health_check=[HealthCheck.too_slow])  # all signs there are take long to be listed once
def test_what_is_written_is_read_back(fields):
    assert fields_from(text_of(fields), field="match_fields") == fields


def test_the_most_that_a_rule_may_have_is_read_back():
    most = {
        f"{number:064d}": [f"{value:0200d}" for value in range(FIELDS_MAX)] for number in range(FIELDS_MAX)
    }
    assert fields_from(text_of(most), field="match_fields") == most


def test_a_line_is_a_name_and_its_values():
    text = ' project:apollo , gemini\n\n"place: of work": "Berlin, Mitte", "said ""x"""\r\nratio: 1:2'

    assert fields_from(text, field="match_fields") == {
        "project": ["apollo", "gemini"],
        "place: of work": ["Berlin, Mitte", 'said "x"'],
        "ratio": ["1:2"],
    }


@pytest.mark.parametrize(
    "line",
    [
        "project",
        "project:",
        ": apollo",
        "project: apollo,",
        "project: , apollo",
        'project: ""',
        'project: " apollo"',
        'project: "apollo',
        'project: "apollo" gemini',
        '"project" x: apollo',
        "project: apol\tlo",
        "project: apol\u202elo",
        f"{'n' * (FIELD_NAME_MAX + 1)}: apollo",
        f"project: {'v' * (FIELD_VALUE_MAX + 1)}",
        "project: " + ", ".join(str(number) for number in range(FIELDS_MAX + 1)),
        "cost: twice",
    ],
)
def test_what_is_no_line_is_named(line):
    with pytest.raises(Invalid, match="Line 3: ") as refused:
        fields_from(f"cost: once\n\n{line}", field="match_fields")
    assert refused.value.extra["field"] == "match_fields"


def test_one_name_too_many_is_named():
    text = "\n".join(f"name {number}: x" for number in range(FIELDS_MAX + 1))
    with pytest.raises(Invalid, match=f"Line {FIELDS_MAX + 1}: at most {FIELDS_MAX} names"):
        fields_from(text, field="match_fields")


def test_a_request_has_one_value_of_each():
    assert values_from('project: apollo\nplace: "Berlin, Mitte"', field="custom_fields") == {
        "project": "apollo",
        "place": "Berlin, Mitte",
    }
    with pytest.raises(Invalid, match="place: one value only"):
        values_from("place: Berlin, Mitte", field="custom_fields")
