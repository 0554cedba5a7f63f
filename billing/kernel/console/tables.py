"""Tables of text below an object, and how amounts, quantities and objects are written in them."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from billing.kernel.money import minor_unit, plain


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the theme's table component takes."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    note: str = ""


def money(amount: Decimal, currency: str) -> str:
    """ "1,250.00 EUR": all decimals of the currency, and any beyond them rather than a rounded figure."""
    shown = amount.quantize(minor_unit(currency))
    return f"{shown if shown == amount else amount:,f} {currency}"


def number(value: Decimal | None) -> str:
    if value is None:
        return "–"
    return plain(value)


def link(obj: Model, page: str) -> str:
    """A table's cell that leads to the object's page in the console."""
    return format_html(
        '<a class="underline" href="{}">{}</a>', reverse(f"admin:{page}_change", args=[obj.pk]), obj
    )
