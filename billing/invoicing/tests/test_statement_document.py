"""What stands on a statement of account. Nothing here needs a database."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.invoicing.documents.rendering import pdf_of
from billing.invoicing.documents.statement import StatementLine, StatementOfAccount, statement_content
from billing.invoicing.documents.wording import LABELS
from billing.invoicing.tests.test_documents import PARTY, amount_after, pages_of

OPENING = Decimal("100.00")


def statement(movements: int = 3, **overrides) -> StatementOfAccount:
    """Invoices of 50.25 and payments of 20.10, taking turns, one a day."""
    balance, lines = OPENING, []
    for number in range(movements):
        debit, credit = (Decimal("50.25"), Decimal(0)) if number % 2 == 0 else (Decimal(0), Decimal("20.10"))
        balance += debit - credit
        lines.append(
            StatementLine(
                day=date(2024, 9, 1) + timedelta(days=number % 30),
                kind="Invoice" if debit else "Payment",
                reference=f"REF-{number:03}",
                description="Usage of August" if debit else "",
                debit=debit,
                credit=credit,
                balance=balance,
            )
        )
    values = {
        "seller": PARTY,
        "customer": PARTY | {"legal_name": "Kunde AG"},
        "currency": "EUR",
        "starts_on": date(2024, 9, 1),
        "ends_on": date(2024, 10, 1),
        "opening": OPENING,
        "lines": lines,
        "closing": balance,
        "ageing": [("Not due", Decimal("150.00")), ("1 – 30", balance - 150)],
    }
    return StatementOfAccount(**values | overrides)


def test_a_statement_begins_with_what_was_owed_and_ends_with_what_is():
    shown = statement_content(statement(), language="en")

    assert [(line["debit"], line["credit"], line["balance"]) for line in shown["lines"]] == [
        ("", "", "100.00"),
        ("50.25", "", "150.25"),
        ("", "20.10", "130.15"),
        ("50.25", "", "180.40"),
    ]
    assert shown["sums"] == [("Closing balance", "180.40")]
    assert shown["facts"] == [
        ("As of", "Sep 30, 2024"),
        ("Closing balance (EUR)", "180.40"),
        ("Period", "Sep 1, 2024 – Sep 30, 2024"),
    ]
    assert shown["ageing"] == [("Not due", "150.00"), ("1 – 30", "30.40")]


@pytest.mark.parametrize("wrong", [{"closing": Decimal("180.41")}, {"opening": Decimal("99.99")}])
def test_a_statement_that_does_not_add_up_is_not_made(wrong):
    with pytest.raises(ValueError, match="balance"):
        statement(**wrong)


def test_every_page_carries_the_balance():
    account = statement(movements=80)

    pages = pages_of(pdf_of("statement", statement_content(account, language="en")))

    assert len(pages) > 2
    seen, balance = 0, account.opening
    for page in pages:
        own = sum(line.startswith("Sep ") and "REF-" in line for line in page)
        assert amount_after("Brought forward", page) == (balance if seen and own else None)
        seen += own
        balance = account.lines[seen - 1].balance
        assert amount_after("Carried forward", page) == (balance if seen < 80 else None)
    assert (seen, balance) == (80, account.closing)
    assert any("Closing balance" in line and "EUR" in line for line in pages[-1])


def test_a_quiet_period_has_a_statement_too():
    [page] = pages_of(
        pdf_of("statement", statement_content(statement(movements=0, ageing=()), language="en"))
    )

    assert any(line.startswith("Sep 1, 2024 Opening balance 100.00") for line in page)


@pytest.mark.parametrize("language", sorted(LABELS))
def test_a_statement_speaks_the_readers_language_and_is_the_same_twice(language):
    shown = statement_content(statement(), language=language)

    pdf = pdf_of("statement", shown)

    assert pdf == pdf_of("statement", statement_content(statement(), language=language))
    assert LABELS[language]["statement"] in "\n".join(pages_of(pdf)[0])
