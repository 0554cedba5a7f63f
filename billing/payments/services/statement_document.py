"""What stands on a statement of account, in the reader's language."""

from datetime import timedelta

from billing.documents.core.formats import Formats, party
from billing.documents.core.wording import LABELS
from billing.invoicing.issuing.services.issue import party as snapshot_of
from billing.payments.queries.statements import Movement, Statement


def statement_content(statement: Statement, *, language: str) -> dict:
    """All that stands on it, as `documents.rendering.pdf_of` takes it; the balance is carried from page to page."""
    say, labels = Formats(language, statement.currency), LABELS[language]
    last = statement.ends_on - timedelta(days=1)
    period = say.period(statement.starts_on, statement.ends_on)
    closing = say.money(statement.closing_balance)
    return {
        "language": language,
        "labels": labels | {"customer": labels["counterparty"]},
        "currency": statement.currency,
        "title": labels["statement"],
        "number": period,
        "day": [last.year, last.month, last.day],
        "seller": party(snapshot_of(statement.seller), language),
        "customer": party(snapshot_of(statement.customer), language),
        "facts": [
            (labels["as_of"], say.day(last)),
            (f"{labels['closing_balance']} ({statement.currency})", closing),
            (labels["account_period"], period),
        ],
        "columns": [
            {"key": "day", "title": labels["day"], "align": "left"},
            {"key": "description", "title": labels["description"], "align": "left", "wraps": True},
            {"key": "reference", "title": labels["reference"], "align": "left"},
            {"key": "debit", "title": labels["debit"], "align": "right"},
            {"key": "credit", "title": labels["credit"], "align": "right"},
            {"key": "balance", "title": f"{labels['balance']} ({statement.currency})", "align": "right"},
        ],
        "lines": [_opening(statement, say), *(_line(move, say) for move in statement.movements)],
        "sums": [(labels["closing_balance"], closing)],
        "ageing": [(labels[age.label], say.money(age.amount)) for age in statement.ageing if age.amount],
    }


def _opening(statement: Statement, say: Formats) -> dict:
    balance = say.money(statement.opening_balance)
    return {
        "day": say.day(statement.starts_on),
        "description": LABELS[say.language]["opening_balance"],
        "reference": "",
        "debit": "",
        "credit": "",
        "balance": balance,
        "sum": balance,
    }


def _line(move: Movement, say: Formats) -> dict:
    labels, balance = LABELS[say.language], say.money(move.balance)
    return {
        "day": say.day(move.day),
        "description": labels[f"kind_{move.kind}"],
        "below": labels.get(
            f"event_{move.event.partition('#')[0]}", ""
        ),  # an issue or a receipt says nothing more
        "reference": move.reference,
        "debit": say.money(move.debit) if move.debit else "",
        "credit": say.money(move.credit) if move.credit else "",
        "balance": balance,
        "sum": balance,
    }
