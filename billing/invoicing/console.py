"""An invoice as a controller reads it: tables of text, made from its reconciliation and its timeline."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db.models import Count, QuerySet, Sum
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.verification.services.recalculation import Difference
from billing.invoicing.verification.services.reconciliation import Proof, proof_of
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.console.tables import Table, money, number
from billing.subscriptions.models import Price, Subscription
from billing.usage.models import Meter

TOLD_ELSEWHERE = {"exact", "shares", "steps", "days", "discounts"}
REFERENCES = {"adjusts", "charge", "event", "item", "sha256"}  # ids and checksums, which the API answers


def invoice_tables(invoice: Invoice, *, names: Mapping[str, str]) -> list[Table]:
    """Lines, tax, cost by department, the books, the checks, how the amounts came about, and the story.

    `names` are those of the actors in the story, as far as they are known.
    """
    proof = proof_of(invoice)
    return [
        lines_table([proven.line for proven in proof.lines]),
        taxes_table(invoice.taxes.order_by("category", "percent")),
        _places(proof),
        _entries(proof),
        _checks(proof),
        _derivations(proof),
        _story(invoice, names),
    ]


def actors_of(invoice: Invoice) -> set[str]:
    return {moment.who for moment in timeline_of(invoice) if moment.who}


def totals_of(invoices: QuerySet[Invoice]) -> list[list[str]]:
    """Per currency: how many, their totals and what is open of them."""
    sums = (
        invoices.order_by("currency")
        .values("currency")
        .annotate(count=Count("pk"), total=Sum("total_amount"), open=Sum("balance_amount"))
    )
    return [
        [
            row["currency"],
            str(row["count"]),
            money(row["total"], row["currency"]),
            money(row["open"], row["currency"]),
        ]
        for row in sums
    ]


def lines_table(lines: Iterable[InvoiceLine], *, title: str = "Lines") -> Table:
    return Table(
        title=title,
        headers=[
            "#",
            "What",
            "Service period",
            "Quantity",
            "Unit price",
            "Discount",
            "Net",
            "Tax",
            "GL code",
        ],
        rows=[
            [
                str(line.position),
                line.description,
                f"{line.service_starts_on} – {line.service_ends_on - timedelta(days=1)}",
                f"{number(line.quantity)} {line.unit}",
                _unit_price(line),
                money(line.discount_amount, line.currency) if line.discount_amount else "–",
                money(line.net_amount, line.currency),
                f"{line.tax_category} {number(line.tax_percent)} %",
                line.gl_code or "–",
            ]
            for line in lines
        ],
    )


def _unit_price(line: InvoiceLine) -> str:
    if line.inclusive_unit_price is not None:
        return f"{number(line.inclusive_unit_price)} with tax"
    if line.inclusive_amount is not None:
        return f"{money(line.inclusive_amount, line.currency)} in all, with tax"
    return number(line.unit_price)


def taxes_table(taxes: Iterable[InvoiceTax]) -> Table:
    return Table(
        title="Tax",
        headers=["Category", "Rate", "Taxable", "Tax", "Reason"],
        rows=[
            [
                tax.get_category_display(),
                f"{number(tax.percent)} %",
                money(tax.taxable_amount, tax.currency),
                money(tax.tax_amount, tax.currency),
                tax.exemption_reason or "–",
            ]
            for tax in taxes
        ],
    )


def _places(proof: Proof) -> Table:
    return Table(
        title="Cost by department and GL code",
        headers=["Department", "GL code", "Net", "Tax", "Revenue in the books"],
        rows=[
            [
                str(place.department or "–"),
                place.gl_code or "–",
                money(place.net_amount, place.currency),
                money(place.tax_amount, place.currency),
                money(place.booked_amount, place.currency),
            ]
            for place in proof.places
        ],
        note="" if proof.invoice.number else "A draft has no shares yet: they are posted when it is issued.",
    )


def _entries(proof: Proof) -> Table:
    return Table(
        title="Ledger entries",
        headers=["Day", "Event", "Account", "Department", "GL code", "Debit", "Credit"],
        rows=[
            [
                str(entry.posted_on),
                entry.event,
                str(line.account),
                str(line.department or "–"),
                line.gl_code or "–",
                money(line.debit, line.currency) if line.debit else "",
                money(line.credit, line.currency) if line.credit else "",
            ]
            for entry in proof.entries
            for line in sorted(entry.lines.all(), key=lambda line: line.pk)
        ],
    )


def _checks(proof: Proof) -> Table:
    return Table(
        title="Checks",
        headers=["What must be equal", "Expected", "Found", ""],
        rows=[
            [
                check.name,
                money(check.expected, check.currency),
                money(check.found, check.currency),
                "✓ agrees" if check.agrees else "✗ DIFFERS",
            ]
            for check in proof.checks
        ],
    )


def _derivations(proof: Proof) -> Table:
    names = _names_in(proof)
    differing = defaultdict(list)
    for difference in proof.differences:
        differing[difference.line_id].append(difference)
    return Table(
        title="How the amounts came about",
        headers=["#", "Exactly", "Rounded", "Steps", "From", "Recomputed"],
        rows=[
            [
                str(line.position),
                str(line.derivation.get("exact", "–")),
                money(line.gross_amount, line.currency),
                _steps(line.derivation),
                _readable(line.derivation, names),
                _recomputed(differing[line.pk]),
            ]
            for line in (proven.line for proven in proof.lines)
        ],
        note="Every line is computed once more from the stored events, prices and days."
        " An adjustment's steps are those of the whole period; what was billed before is taken off.",
    )


def _steps(derivation: Mapping[str, object]) -> SafeString | str:
    """One line of text for each tier, package or lump: `Up to 10: 10 × 1 = 10`."""
    told = []
    for step in derivation.get("steps", ()):
        priced = f"{step['quantity']} × {step['unit_price']} = " if step["quantity"] is not None else ""
        told.append((f"{step['label']}: {priced}{step['amount']}",))
    if days := derivation.get("days"):
        told.append((f"Days: {days}",))
    told += [
        (f"Discount {each['name']} ({each['code']}): −{each['amount']}",)
        for each in derivation.get("discounts", ())
    ]
    if before := derivation.get("before"):
        told.append((f"Billed before: −{before['exact']}",))
    return format_html_join(SafeString("<br>"), "{}", told) or "–"


def _recomputed(differences: Sequence[Difference]) -> str:
    if not differences:
        return "✓ agrees"
    return "✗ DIFFERS: " + "; ".join(
        f"{each.what} {each.stored} stored, {each.recomputed} recomputed" for each in differences
    )


def _names_in(proof: Proof) -> Mapping[str, str]:
    """What the derivations name by id, by that id: one query for each kind, however many lines."""
    told = [proven.line.derivation for proven in proof.lines]
    ids = {kind: {d[kind] for d in told if d.get(kind)} for kind in ("meter", "price", "subscription")}
    meters = Meter.objects.in_bulk(ids["meter"])
    prices = Price.objects.in_bulk(ids["price"])
    subscriptions = Subscription.objects.in_bulk(ids["subscription"])
    return {
        **{str(pk): meter.code for pk, meter in meters.items()},
        **{str(pk): f"version {price.number} in {price.currency}" for pk, price in prices.items()},
        **{str(pk): str(subscription) for pk, subscription in subscriptions.items()},
    }


def _readable(derivation: Mapping[str, object], names: Mapping[str, str]) -> str:
    """`events: 3 · model: per_unit · unit_price: 0.25`: nothing is left out but what has its own column, and
    mere references."""
    return " · ".join(
        f"{name}: {names.get(value, value) if isinstance(value, str) else json.dumps(value)}"
        for name, value in derivation.items()
        if value not in (None, "", []) and name not in TOLD_ELSEWHERE | REFERENCES
    )


def _story(invoice: Invoice, names: Mapping[str, str]) -> Table:
    return Table(
        title="Timeline",
        headers=["When (UTC)", "Who", "What", "Why", "Detail"],
        rows=[
            [
                f"{moment.at:%Y-%m-%d %H:%M:%S}",
                names.get(moment.who, moment.who) or "–",
                moment.what,
                moment.reason or "–",
                " · ".join(
                    f"{name}: {value}" for name, value in moment.detail.items() if name not in REFERENCES
                )
                or "–",
            ]
            for moment in timeline_of(invoice)
        ],
    )
