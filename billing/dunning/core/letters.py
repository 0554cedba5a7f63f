"""What stands in a dunning letter: claims as text in the reader's language, set as plain text and as HTML."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from babel import Locale
from babel.dates import format_date
from django.template.loader import render_to_string

from billing.dunning.core.letter_wording import LABELS
from billing.kernel.mailing.rendering import Rendered, money
from billing.kernel.money import total_of


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An invoice a letter asks for. `asked` is `open_amount` less what is on hold, in the invoice's currency."""

    number: str
    issued_on: date
    due_on: date
    days_late: int
    open_amount: Decimal
    asked: Decimal
    currency: str


def letter_of(
    *,
    language: str,
    seller: str,
    customer: str,
    written_on: date,
    claims: Sequence[Claim],
    fees: Iterable[tuple[Decimal, str]] = (),
) -> dict:
    """Everything the templates show, formatted. `fees` are (amount, currency)."""
    labels, locale = LABELS[language], Locale.parse(language)
    asked: dict[str, list[Decimal]] = defaultdict(list)
    for claim in claims:
        asked[claim.currency].append(claim.asked)
    charged: dict[str, list[Decimal]] = defaultdict(list)
    for amount, currency in fees:
        charged[currency].append(amount)
    one = len(claims) == 1
    return {
        "language": language,
        "labels": labels,
        "seller": seller,
        "customer": customer,
        "written_on": format_date(written_on, format="long", locale=locale),
        "about": labels["one"].format(number=claims[0].number)
        if one
        else labels["many"].format(count=len(claims)),
        "is_one": one,
        "rows": [_row(claim, locale) for claim in claims],
        "totals": [money(total_of(amounts), currency, locale) for currency, amounts in sorted(asked.items())],
        "hold_note": labels["hold_note"] if any(claim.asked < claim.open_amount for claim in claims) else "",
        "fee_note": labels["fee_note"].format(
            amounts=", ".join(
                money(total_of(amounts), currency, locale) for currency, amounts in sorted(charged.items())
            )
        )
        if charged
        else "",
    }


def render(template: str, letter: dict) -> Rendered:
    """Subject, plain text and HTML of one of the templates in the letter's language."""
    path = f"dunning/{letter['language']}/{template}"
    return Rendered(
        subject=" ".join(render_to_string(f"{path}.subject.txt", letter).split()),
        text=render_to_string(f"{path}.txt", letter).strip() + "\n",
        html=render_to_string(f"{path}.html", letter),
    )


def _row(claim: Claim, locale: Locale) -> dict:
    held = claim.open_amount - claim.asked
    return {
        "number": claim.number,
        "issued_on": format_date(claim.issued_on, format="medium", locale=locale),
        "due_on": format_date(claim.due_on, format="medium", locale=locale),
        "days_late": str(max(claim.days_late, 0)),
        "open": money(claim.open_amount, claim.currency, locale),
        "on_hold": money(held, claim.currency, locale) if held else "",
        "asked": money(claim.asked, claim.currency, locale),
    }
