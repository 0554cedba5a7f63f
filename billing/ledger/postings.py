"""What is to be booked, as values: checked before the database sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.kernel.errors import Invalid
from billing.kernel.money import LARGEST_AMOUNT, Money, total_of
from billing.ledger.accounts import CHART, ChartAccount, Side
from billing.ledger.errors import AccountUnknown, EntryEmpty, EntryUnbalanced

CODES = frozenset(account.code for account in CHART)
_OTHER = {Side.DEBIT: Side.CREDIT, Side.CREDIT: Side.DEBIT}


@dataclass(frozen=True, kw_only=True)
class Posting:
    """One side of an entry. `amount` is payable in `currency`; a negative one stands on the other side."""

    account: str
    side: Side
    amount: Decimal
    currency: str
    customer_id: UUID | None = None
    department_id: UUID | None = None
    product_code: str = ""
    gl_code: str = ""
    contract_reference: str = ""

    def __post_init__(self) -> None:
        code = self.account.code if isinstance(self.account, ChartAccount) else self.account
        if code not in CODES:
            raise AccountUnknown(f"'{code}' is not in the chart of accounts.", account=str(code))
        money = Money(self.amount, self.currency)
        if abs(money.amount) >= LARGEST_AMOUNT or not money.is_payable:
            raise Invalid(f"{money} is not a payable amount.")
        object.__setattr__(self, "account", code)
        object.__setattr__(self, "side", Side(self.side) if self.amount >= 0 else _OTHER[self.side])
        object.__setattr__(self, "amount", abs(self.amount))

    @property
    def debit(self) -> Decimal:
        return self.amount if self.side == Side.DEBIT else Decimal(0)

    @property
    def credit(self) -> Decimal:
        return self.amount if self.side == Side.CREDIT else Decimal(0)

    @property
    def place(self) -> tuple:
        """Where it stands: postings with the same place are one line."""
        return (
            self.account,
            self.currency,
            self.side,
            str(self.customer_id or ""),
            str(self.department_id or ""),
            self.product_code,
            self.gl_code,
            self.contract_reference,
        )

    def mirrored(self) -> "Posting":
        return replace(self, side=_OTHER[self.side])


def debit(
    account: ChartAccount | str, amount: Decimal | Money, currency: str = "", **dimensions: object
) -> Posting:
    """`debit(RECEIVABLE, total, customer_id=…)` with Money, or with a Decimal and its currency."""
    return _posting(Side.DEBIT, account, amount, currency, dimensions)


def credit(
    account: ChartAccount | str, amount: Decimal | Money, currency: str = "", **dimensions: object
) -> Posting:
    return _posting(Side.CREDIT, account, amount, currency, dimensions)


def _posting(side: Side, account, amount, currency: str, dimensions: dict) -> Posting:
    if isinstance(amount, Money):
        if currency not in {"", amount.currency}:
            raise Invalid(f"{amount} is not in {currency}.")
        amount, currency = amount.amount, amount.currency
    return Posting(account=account, side=side, amount=amount, currency=currency, **dimensions)


@dataclass(frozen=True, kw_only=True)
class EntryDraft:
    """One money event of one selling entity. `source` and `event` say which, and it is booked once."""

    entity_id: UUID
    posted_on: date
    source: str
    event: str
    description: str
    lines: Sequence[Posting]
    reverses: UUID | None = None
    _merged: tuple[Posting, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_merged", merged(self.lines))

    @property
    def postings(self) -> tuple[Posting, ...]:
        """The lines to write: same places added up, zeros dropped, in account order."""
        return self._merged

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to book, as for an invoice of 0.00."""
        return not self._merged

    def check(self) -> None:
        """Raises EntryEmpty, EntryUnbalanced, Invalid."""
        for name, text, longest in (("source", self.source, 100), ("event", self.event, 32)):
            if not 1 <= len(text) <= longest:
                raise Invalid(f"The {name} of an entry has 1 to {longest} characters.")
        if len(self.description) > 200:
            raise Invalid("The description of an entry has at most 200 characters.")
        if len(self._merged) < 2:
            raise EntryEmpty(f"{self.source} {self.event}: fewer than two lines.")
        for currency in sorted({posting.currency for posting in self._merged}):
            debits = total_of([p.debit for p in self._merged if p.currency == currency])
            credits = total_of([p.credit for p in self._merged if p.currency == currency])
            if debits != credits:
                raise EntryUnbalanced(
                    f"{self.source} {self.event}: debits {debits} and credits {credits} {currency} differ.",
                    debit=str(debits),
                    credit=str(credits),
                    currency=currency,
                )


def merged(postings: Sequence[Posting]) -> tuple[Posting, ...]:
    together: dict[tuple, list[Posting]] = {}
    for posting in postings:
        if posting.amount:
            together.setdefault(posting.place, []).append(posting)
    return tuple(
        replace(same[0], amount=total_of([posting.amount for posting in same])) if len(same) > 1 else same[0]
        for _, same in sorted(together.items())
    )
