"""The catalogue as a contract manager reads and writes it: prices in words, tables, and forms."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from uuid import UUID

from django import forms

from billing.access.models import User
from billing.entities.queries import entities_for
from billing.kernel.console.forms import today
from billing.kernel.errors import DomainError
from billing.kernel.money import EXACT, currencies, minor_unit, plain
from billing.subscriptions import picture, queries
from billing.subscriptions.core.rating import NEEDED, OPTIONAL, PriceTerms
from billing.subscriptions.models import (
    ALL_FIGURES,
    Basis,
    Interval,
    Plan,
    Price,
    PriceModel,
    Product,
    Timing,
)
from billing.subscriptions.quoting import Quote, edges_of
from billing.subscriptions.services import INTERVAL_COUNT_MAX, ITEMS_MAX, TIERS_MAX, TRIAL_DAYS_MAX

TIER_LINES = "100; 0.50; 5\n1000; 0.40\n; 0.25"
AMOUNTS_MAX = 12
ITEM_ROWS = 8


def price_in_words(price: Price) -> str:
    """In one line: "3 tiers from 0.5 USD", "10 USD per package of 1,000, with tax"."""
    return f"{_figures_in_words(price)}{', with tax' if price.tax_inclusive else ''}"


def _figures_in_words(price: Price) -> str:
    terms, currency = price.terms, price.currency
    match PriceModel(price.model):
        case PriceModel.FLAT:
            return f"{plain(terms.flat_amount)} {currency} flat"
        case PriceModel.PER_UNIT:
            return f"{plain(terms.unit_price)} {currency}"
        case PriceModel.GRADUATED | PriceModel.VOLUME:
            tiers = "1 tier" if len(terms.tiers) == 1 else f"{len(terms.tiers)} tiers"
            return f"{tiers} from {plain(terms.tiers[0].unit_price)} {currency}"
        case PriceModel.PACKAGE:
            free = f", first {plain(terms.free_quantity)} free" if terms.free_quantity else ""
            return f"{plain(terms.unit_price)} {currency} per package of {plain(terms.package_size)}{free}"
        case PriceModel.PERCENTAGE:
            per_event = (
                f" + {plain(terms.per_event_amount)} {currency} per event" if terms.per_event_amount else ""
            )
            return f"{plain(terms.percent)} %{per_event}"
        case PriceModel.PASS_THROUGH:
            return f"cost + {plain(terms.markup_percent)} %"


def tier_table(price: Price) -> list[dict]:
    """The tiers of a price, if it has any, as a table."""
    rows, lower = [], Decimal(0)
    for tier in price.terms.tiers:
        rows.append(
            [
                f"over {plain(lower)}",
                "any more" if tier.up_to is None else f"up to {plain(tier.up_to)}",
                f"{plain(tier.unit_price)} {price.currency}",
                f"{plain(tier.flat_amount)} {price.currency}",
            ]
        )
        lower = tier.up_to
    note = {
        PriceModel.GRADUATED: "Each tier prices the units that lie in it.",
        PriceModel.VOLUME: "The tier the quantity lies in prices all of it.",
    }.get(price.model, "")
    headers = ["From", "To", "Each unit", "Once"]
    return [{"title": "Tiers", "headers": headers, "rows": rows, "note": note}] if rows else []


def offer_table(plan: Plan, *, on: date) -> dict:
    """What is on a plan and what it costs on the day; what has no price says so."""
    items = list(plan.items.select_related("product").order_by("position"))
    prices: dict[UUID, list[Price]] = {item.product_id: [] for item in items}
    for price in queries.prices_in_force(prices, on, plan.pk):
        prices[price.product_id].append(price)
    bare = [item.product.code for item in items if not prices[item.product_id]]
    return {
        "title": f"What it costs on {on}",
        "headers": ["#", "Product", "Billed", "By", "Price"],
        "rows": [
            [
                str(item.position),
                str(item.product),
                item.get_timing_display(),
                item.get_basis_display(),
                " · ".join(_offered(price) for price in prices[item.product_id]) or "none yet",
            ]
            for item in items
        ],
        "note": (
            f"Still without any price: {', '.join(bare)}. Press “Add price…” for each of them,"
            " then the plan can be subscribed to."
            if bare
            else "A price on the plan goes before the list price."
        ),
    }


def _offered(price: Price) -> str:
    where = "" if price.plan_id else " (list)"
    return f"{price.currency}: {price_in_words(price)}{where}"


def quote_tables(quoted: Quote, points: Iterable[Decimal]) -> tuple[dict, dict]:
    """How the amount comes about, and what other quantities cost."""
    currency, terms = quoted.price.currency, quoted.price.terms
    steps = {
        "title": "How the amount comes about",
        "headers": ["What", "Quantity", "Each", "Amount"],
        "rows": [
            [
                step.label,
                "–" if step.quantity is None else plain(step.quantity),
                "–" if step.unit_price is None else plain(step.unit_price),
                f"{plain(step.amount)} {currency}",
            ]
            for step in quoted.steps
        ],
    }
    amounts = {
        "title": "Other quantities",
        "headers": ["Quantity", "Amount", "On average"],
        "rows": [
            [
                f"{plain(quantity)}{' ←' if quantity == quoted.quantity else ''}",
                shown_money(amount := terms.exact_amount(quantity, events=quoted.events), currency),
                _average(amount, quantity),
            ]
            for quantity in points
        ],
    }
    return steps, amounts


def telling_quantities(quoted: Quote, furthest: Decimal) -> list[Decimal]:
    """For the table: round numbers, the edges of the price, and what was asked for."""
    told = {*picture.ticks(furthest), *edges_of(quoted.price.terms)}
    ranked = sorted(told - {quoted.quantity})[: AMOUNTS_MAX - 1]
    return sorted({*ranked, quoted.quantity})


def shown_money(amount: Decimal, currency: str) -> str:
    return f"{amount.quantize(minor_unit(currency), 'ROUND_HALF_UP', context=EXACT):,f} {currency}"


def _average(amount: Decimal, quantity: Decimal) -> str:
    if not quantity:
        return "–"
    return plain(EXACT.divide(amount, quantity).quantize(Decimal("0.000001"), context=EXACT))


def figure(name: str, label: str, **kwargs) -> forms.DecimalField:
    """Of the models that have it: the script of the form hides it from the others."""
    widget = forms.NumberInput(attrs={"data-models": _models_of(name), "step": "any"})
    return forms.DecimalField(
        label=label, required=False, max_digits=28, decimal_places=12, widget=widget, **kwargs
    )


def _models_of(name: str) -> str:
    return " ".join(model for model in NEEDED if name in NEEDED[model] | OPTIONAL.get(model, set()))


class PriceForm(forms.Form):
    """The figures of every model; one price has those of its own."""

    class Media:
        js = ("subscriptions/price_form.js",)

    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    model = forms.ChoiceField(
        choices=[
            (PriceModel.FLAT, "Flat: the same, whatever the quantity"),
            (PriceModel.PER_UNIT, "Per unit"),
            (PriceModel.GRADUATED, "Graduated: each tier prices the units that lie in it"),
            (PriceModel.VOLUME, "Volume: the tier the quantity lies in prices all of it"),
            (PriceModel.PACKAGE, "Package: whole packages, a begun one counts"),
            (PriceModel.PERCENTAGE, "Percentage of an amount of money that was used"),
            (PriceModel.PASS_THROUGH, "Pass-through: the cost that came with the usage, with a mark-up"),
        ],
        initial=PriceModel.PER_UNIT,
    )
    flat_amount = figure("flat_amount", "Amount per period")
    unit_price = figure("unit_price", "Price per unit, or per package")
    package_size = figure("package_size", "Units in a package")
    free_quantity = figure("free_quantity", "Free units", help_text="Optional: they cost nothing.")
    percent = figure("percent", "Percent of the amount used", help_text="2.9 is 2.9 %.")
    per_event_amount = figure("per_event_amount", "Amount for each event", help_text="Optional, besides.")
    free_events = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        label="Free events",
        help_text="Optional: the first so many events have no amount of their own.",
        widget=forms.NumberInput(attrs={"data-models": _models_of("free_events")}),
    )
    free_amount = figure("free_amount", "Free amount", help_text="Optional: it costs nothing.")
    minimum_amount = figure("minimum_amount", "Minimum per period", help_text="Optional.")
    maximum_amount = figure("maximum_amount", "Maximum per period", help_text="Optional.")
    tiers = forms.CharField(
        required=False,
        max_length=10_000,
        label="Tiers",
        help_text="One line per tier: up to; price of each unit; amount once. The last line has no end.",
        widget=forms.Textarea(
            attrs={"rows": 5, "placeholder": TIER_LINES, "data-models": _models_of("tiers")}
        ),
    )
    markup_percent = figure("markup_percent", "Mark-up in percent", help_text="12.5 is 12.5 % on the cost.")
    tax_inclusive = forms.BooleanField(
        required=False,
        label="Price includes tax",
        help_text="The customer pays what is told, whatever its rate; without it, tax comes on top.",
        widget=forms.CheckboxInput(
            attrs={
                "data-models": " ".join(
                    model for model in PriceModel.values if model != PriceModel.PASS_THROUGH
                )
            }
        ),
    )
    starts_on = forms.DateField(
        widget=forms.DateInput(),
        initial=today,
        help_text="It holds from this day until the next version. Running subscriptions keep what they have.",
    )

    def clean_tiers(self) -> list[dict] | None:
        lines = [line for line in self.cleaned_data["tiers"].splitlines() if line.strip()]
        if len(lines) > TIERS_MAX:
            raise forms.ValidationError(f"A price has at most {TIERS_MAX} tiers.")
        return [_tier(number, line) for number, line in enumerate(lines, start=1)] or None

    def clean(self) -> dict:
        """Asks the rule beforehand, so that what was typed is still there when it says no."""
        given = super().clean()
        if not self.errors:
            figures = {name: given[name] for name in ALL_FIGURES if name != "tiers"}
            try:
                PriceTerms.from_stored(given["model"], given["tiers"], **figures).require_valid()
            except DomainError as refusal:
                self.add_error(None, refusal.detail)
        return given


def _tier(number: int, line: str) -> dict:
    parts = [part.strip() for part in line.split(";")]
    if not 2 <= len(parts) <= 3:
        raise forms.ValidationError(
            f"Line {number}: write up to; price of each unit; amount once – such as {TIER_LINES.splitlines()[0]}"
        )
    up_to, unit_price, *flat_amount = parts
    return {
        "up_to": up_to or None,
        "unit_price": unit_price,
        "flat_amount": flat_amount[0] if flat_amount and flat_amount[0] else "0",
    }


class ProductPriceForm(PriceForm):
    plan = forms.ModelChoiceField(
        Plan.objects.none(),
        required=False,
        empty_label="None: it is the list price",
        help_text="Plans that have the product.",
    )
    field_order = ("plan",)


class PlanPriceForm(PriceForm):
    product = forms.ModelChoiceField(Product.objects.none(), help_text="Of those on the plan.")
    field_order = ("product",)


def offer_plans(form: ProductPriceForm, products: list[Product]) -> None:
    plans = Plan.objects.filter(items__product__in=products).distinct()
    form.fields["plan"].queryset = plans.order_by("code")


def offer_products(form: PlanPriceForm, plans: list[Plan]) -> None:
    products = Product.objects.filter(plan_items__plan__in=plans).distinct()
    form.fields["product"].queryset = products.order_by("code")


class PlanForm(forms.Form):
    seller = forms.ModelChoiceField(None)
    code = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", help_text="Letters, digits, dots, dashes and underscores."
    )
    name = forms.CharField(max_length=200)
    interval_count = forms.IntegerField(
        label="Billed every", initial=1, min_value=1, max_value=INTERVAL_COUNT_MAX
    )
    interval = forms.ChoiceField(choices=Interval.choices, initial=Interval.MONTH)
    trial_days = forms.IntegerField(
        label="Days of trial",
        initial=0,
        min_value=0,
        max_value=TRIAL_DAYS_MAX,
        help_text="Unless a subscription says otherwise.",
    )

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        sellers = entities_for(user, "subscriptions.create_plan").filter(is_seller=True).order_by("code")
        self.fields["seller"].queryset = sellers
        self.fields["seller"].initial = sellers.first()


class ItemForm(forms.Form):
    product = forms.ChoiceField(required=False)
    timing = forms.ChoiceField(label="Billed", choices=Timing.choices)
    basis = forms.ChoiceField(label="By", choices=Basis.choices, initial=Basis.QUANTITY)

    def __init__(self, *args, products: list[tuple[str, str]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["product"].choices = [("", "–"), *products]


ItemForms = forms.formset_factory(ItemForm, extra=ITEM_ROWS, max_num=ITEMS_MAX, validate_max=True)


def sold_products(user: User) -> list[tuple[str, str]]:
    """What can be put on a plan by this person, read once for all rows of the form."""
    within = queries.products_for(user, "subscriptions.create_plan").filter(is_active=True)
    return [(str(product.pk), f"{product} – {product.entity.code}") for product in within.order_by("code")]


class PlanChangeForm(forms.Form):
    name = forms.CharField(max_length=200)
    trial_days = forms.IntegerField(label="Days of trial", min_value=0, max_value=TRIAL_DAYS_MAX)


def show_as_it_is(form: PlanChangeForm, plans: list[Plan]) -> None:
    if len(plans) == 1:
        form.initial = {"name": plans[0].name, "trial_days": plans[0].trial_days}


class QuoteForm(forms.Form):
    quantity = forms.DecimalField(
        max_digits=28,
        decimal_places=12,
        min_value=Decimal(0),
        help_text="An amount of money, if the price is a percentage or passed through.",
    )
    currency = forms.ChoiceField()
    on = forms.DateField(label="On", widget=forms.DateInput())
    plan = forms.ModelChoiceField(Plan.objects.none(), required=False, empty_label="None: list price")
    events = forms.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="For percentages."
    )

    def __init__(self, *args, product: Product, codes: list[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["quantity"].label = f"Quantity ({product.unit})"
        self.fields["quantity"].widget.attrs["step"] = "any"
        self.fields["currency"].choices = [(code, code) for code in codes]
        self.fields["plan"].queryset = Plan.objects.filter(items__product=product).order_by("code")

    def clean_events(self) -> int:
        return self.cleaned_data["events"] or 0
