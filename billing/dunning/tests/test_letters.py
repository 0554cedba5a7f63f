"""Letters in four languages: every template, amounts as the language writes them, nothing left of the markup."""

import re
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from billing.dunning.core.letter_wording import LABELS
from billing.dunning.core.letters import Claim, letter_of, render
from billing.dunning.services.letter_previews import sample_letter
from billing.dunning.states import Template

NBSP = "\N{NO-BREAK SPACE}"
every_letter = [(template, language) for template in Template.values for language in LABELS]


def claim(**overrides) -> Claim:
    values = {
        "number": "INV-1",
        "issued_on": date(2026, 1, 1),
        "due_on": date(2026, 1, 31),
        "days_late": 7,
        "open_amount": Decimal("1234.50"),
        "asked": Decimal("1234.50"),
        "currency": "EUR",
    }
    return Claim(**values | overrides)


def letter(language: str, *claims: Claim, fees=()) -> dict:
    return letter_of(
        language=language,
        seller="Northwind",
        customer="<Contoso> & Söhne",
        written_on=date(2026, 2, 7),
        claims=claims,
        fees=fees,
    )


class _Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


@pytest.mark.parametrize(("template", "language"), every_letter)
def test_every_letter_is_whole_in_both_forms(template, language):
    seen = render(template, sample_letter(language))

    for text in (seen.subject, seen.text, seen.html):
        assert text.strip()
        assert not re.search(r"{{|}}|{%|%}|None", text)
    assert "\n" not in seen.subject
    for number in ("INV-2026-000041", "INV-2026-000067"):
        assert number in seen.text
        assert number in seen.html
    assert "Contoso & Söhne AG" in seen.text
    assert "Contoso &amp; Söhne AG" in seen.html
    assert f'lang="{language}"' in seen.html


def test_no_two_letters_say_the_same():
    seen = {render(template, sample_letter(language)).text for template, language in every_letter}
    assert len(seen) == len(every_letter) == 16


@pytest.mark.parametrize(
    ("language", "amount", "day"),
    [
        ("en", f"1,234.50{NBSP}EUR", "Jan 31, 2026"),
        ("de", f"1.234,50{NBSP}EUR", "31.01.2026"),
        ("fr", f"1\u202f234,50{NBSP}EUR", "31 janv. 2026"),
        ("es", f"1.234,50{NBSP}EUR", "31 ene 2026"),
    ],
)
def test_amounts_and_days_are_written_as_the_language_has_them(language, amount, day):
    seen = render("reminder", letter(language, claim()))
    assert amount in seen.text
    assert amount in seen.html
    assert day in seen.text


def test_currencies_are_not_added_up_and_have_their_own_decimals():
    seen = letter(
        "en",
        claim(),
        claim(asked=Decimal("0.50"), open_amount=Decimal("0.50")),
        claim(currency="JPY", open_amount=Decimal(5000), asked=Decimal(5000)),
        claim(currency="KWD", open_amount=Decimal("1.250"), asked=Decimal("1.250")),
    )
    assert seen["totals"] == [f"1,235.00{NBSP}EUR", f"5,000{NBSP}JPY", f"1.250{NBSP}KWD"]


def test_what_is_on_hold_is_shown_and_not_asked_for():
    plain = render("reminder", letter("en", claim()))
    held = render("reminder", letter("en", claim(asked=Decimal("1000.00"))))

    assert "On hold" not in plain.text
    assert f"On hold: 234.50{NBSP}EUR" in held.text
    assert f"Total: 1,000.00{NBSP}EUR" in held.text
    assert "is not asked for here" in held.html


def test_late_fees_are_named_by_currency():
    fees = [(Decimal("40.00"), "EUR"), (Decimal("8.75"), "EUR"), (Decimal(500), "JPY")]
    assert f"48.75{NBSP}EUR, 500{NBSP}JPY" in letter("en", claim(), fees=fees)["fee_note"]


def test_one_invoice_is_named_in_the_subject_and_many_are_counted():
    assert (
        render("final_notice", letter("de", claim())).subject == "Northwind: Letzte Mahnung: Rechnung INV-1"
    )
    assert render("final_notice", letter("de", claim(), claim())).subject == (
        "Northwind: Letzte Mahnung: 2 Rechnungen"
    )


def test_names_are_text_and_never_markup():
    seen = render("reminder", letter("en", claim(number="<script>alert(1)</script>")))
    reader = _Texts()
    reader.feed(seen.html)
    assert "script" not in reader.tags
    assert "contoso" not in reader.tags
    assert "<Contoso> & Söhne" in seen.text
