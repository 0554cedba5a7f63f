"""Lines and pages are broken ahead. Nothing here needs a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.documents.core import typesetting
from billing.documents.core.typesetting import (
    BOLD,
    CARRIED,
    HEAD,
    SIDE,
    SUM_COLUMNS,
    TAX_COLUMNS,
    TEXT_HEIGHT,
    width_of,
    wrapped,
)
from billing.documents.core.wording import LABELS

WORDS = st.text(alphabet="aWi .,-–é\N{NO-BREAK SPACE}", max_size=300)


@given(text=WORDS, width=st.floats(min_value=30, max_value=480))
def test_no_line_is_wider_than_its_column_and_nothing_is_lost(text, width):
    lines = wrapped(text, width)

    assert all(width_of(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_word_wider_than_its_column_is_divided():
    assert wrapped("W" * 10, width_of("W" * 4) / typesetting.FILLED) == ("WWWW", "WWWW", "WW")


def test_line_breaks_in_a_text_are_kept():
    assert wrapped("one\ntwo\n\nthree", 400) == ("one", "two", "", "three")


@given(heights=st.lists(st.floats(min_value=20, max_value=200), min_size=1, max_size=300))
def test_rows_and_their_carried_sums_fit_on_their_pages(heights):
    pages, apart = typesetting._pages(heights, first=400, closing=150)

    assert [index for start, end in pages for index in range(start, end)] == list(range(len(heights)))
    for number, (start, end) in enumerate(pages):
        carried = CARRIED * ((start > 0) + (end < len(heights)))
        rest = (400 if number == 0 else TEXT_HEIGHT) - HEAD - carried - sum(heights[start:end])
        assert rest >= -1e-6
    assert apart == (rest < 150)


@pytest.mark.parametrize("language", sorted(LABELS))
def test_every_label_of_sums_and_taxes_fits_its_column(language):
    say = LABELS[language]

    for label in ("net", "tax", "total", "due", "credited", "closing_balance"):
        assert width_of(say[label]) * BOLD <= SUM_COLUMNS[0] - 2 * SIDE
    heads = [say["tax_category"], say["rate"], f"{say['taxable']} (EUR)", f"{say['tax']} (EUR)"]
    for title, width in zip(heads, TAX_COLUMNS, strict=True):
        assert width_of(title) * BOLD * 0.85 <= width - 2 * SIDE  # heads are set in 8.5 points
    assert width_of("-123,456,789,012,345.00 EUR") * BOLD <= SUM_COLUMNS[1] - 2 * SIDE
