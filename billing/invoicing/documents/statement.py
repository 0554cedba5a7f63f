"""What stands on a statement of account: what a customer owed, what happened in a period, and what it owes since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from billing.invoicing.documents.formats import Formats, party
from billing.invoicing.documents.wording import LABELS


@dataclass(frozen=True, kw_only=True)
class StatementLine:
    """One movement of the account. `kind` and `description` are in the reader's language; one side is zero.

    `balance` is the account's after this line: positive is owed by the customer.
    """

    day: date
    kind: str
    reference: str
    description: str
    debit: Decimal
    credit: Decimal
    balance: Decimal


@dataclass(frozen=True, kw_only=True)
class StatementOfAccount:
    """The account of a customer with a seller in one currency, from a day until another, exclusive.

    Parties are snapshots as invoices freeze them. `ageing` says by age what is open at the end: pairs of label and
    amount. Opening balance, debits less credits, and closing balance agree, or nothing is made of it (ValueError).
    """

    seller: Mapping
    customer: Mapping
    currency: str
    starts_on: date
    ends_on: date
    opening: Decimal
    lines: Sequence[StatementLine]
    closing: Decimal
    ageing: Sequence[tuple[str, Decimal]] = ()

    def __post_init__(self) -> None:
        balance = self.opening
        for line in self.lines:
            balance += line.debit - line.credit
            if balance != line.balance:
                raise ValueError(f"The balance after {line.reference} is {balance}, not {line.balance}.")
        if balance != self.closing:
            raise ValueError(f"The closing balance is {balance}, not {self.closing}.")


def statement_content(account: StatementOfAccount, *, language: str) -> dict:
    """All that stands on the statement; the balance is carried from page to page."""
    say, labels = Formats(language, account.currency), LABELS[language]
    last = account.ends_on - timedelta(days=1)
    period = say.period(account.starts_on, account.ends_on)
    opening = {
        "day": say.day(account.starts_on),
        "reference": "",
        "description": labels["opening_balance"],
        "debit": "",
        "credit": "",
        "balance": say.money(account.opening),
        "sum": say.money(account.opening),
    }
    return {
        "language": language,
        "labels": labels,
        "currency": account.currency,
        "title": labels["statement"],
        "number": period,
        "day": [last.year, last.month, last.day],
        "seller": party(account.seller, language),
        "customer": party(account.customer, language),
        "facts": [
            (labels["as_of"], say.day(last)),
            (f"{labels['closing_balance']} ({account.currency})", say.money(account.closing)),
            (labels["account_period"], period),
        ],
        "columns": [
            {"key": "day", "title": labels["day"], "align": "left"},
            {"key": "reference", "title": labels["reference"], "align": "left"},
            {"key": "description", "title": labels["description"], "align": "left", "wraps": True},
            {"key": "debit", "title": labels["debit"], "align": "right"},
            {"key": "credit", "title": labels["credit"], "align": "right"},
            {"key": "balance", "title": f"{labels['balance']} ({account.currency})", "align": "right"},
        ],
        "lines": [
            opening,
            *(
                {
                    "day": say.day(line.day),
                    "reference": line.reference,
                    "description": line.kind,
                    "below": line.description,
                    "debit": say.money(line.debit) if line.debit else "",
                    "credit": say.money(line.credit) if line.credit else "",
                    "balance": say.money(line.balance),
                    "sum": say.money(line.balance),
                }
                for line in account.lines
            ),
        ],
        "sums": [(labels["closing_balance"], say.money(account.closing))],
        "ageing": [(label, say.money(amount)) for label, amount in account.ageing],
    }
