"""Policies, revised and never edited, and the customers assigned to them."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.dunning import queries, services
from billing.dunning.models import DunningAssignment, DunningPolicy
from billing.dunning.states import Effect, PolicyState
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm, today
from billing.kernel.console.tables import Table, money, number
from billing.kernel.money import currencies, plain

STEP_LINES = (
    "-3; notify; friendly_note\n7; notify; reminder\n21; notify; second_reminder\n"
    "35; late_fee; flat\n35; notify; final_notice\n45; suspend\n60; stop"
)
AMOUNT_LINES = "EUR; 5.00; 40.00\nUSD; 5.00"


class TermsForm(forms.Form):
    """What a revision says."""

    name = forms.CharField(max_length=200)
    entity_class = forms.CharField(
        max_length=64,
        required=False,
        help_text="Whom it is meant for: enterprise, small business, public sector…",
    )
    is_default = forms.BooleanField(required=False, help_text="For customers without a policy of their own.")
    steps = forms.CharField(
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 8, "placeholder": STEP_LINES}),
        help_text="One line per step: days after the due day; notify, late_fee, suspend or stop; of notify the"
        " template, of late_fee flat or interest.",
    )
    amounts = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": AMOUNT_LINES}),
        help_text="One line per currency: currency; sum below which nobody is reminded; flat late fee, if any.",
    )
    interest_percent = forms.DecimalField(
        required=False,
        max_digits=7,
        decimal_places=4,
        min_value=0,
        max_value=100,
        help_text="Per year. Actual days / 365, on what is open and not paused.",
    )
    fee_reference = forms.CharField(
        required=False,
        max_length=200,
        help_text="Why late fees are due, such as: Directive 2011/7/EU, Articles 3 and 6 (40 EUR).",
    )

    def clean_steps(self) -> list[dict]:
        return [_step(n, line) for n, line in enumerate(_lines(self.cleaned_data["steps"]), start=1)]

    def clean_amounts(self) -> list[dict]:
        return [_amounts(n, line) for n, line in enumerate(_lines(self.cleaned_data["amounts"]), start=1)]


class PolicyForm(TermsForm):
    seller = forms.ModelChoiceField(None)
    code = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", help_text="Letters, digits, dots, dashes and underscores."
    )
    field_order = ("seller", "code")

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        sellers = entities_for(user, "dunning.create_policy").filter(is_seller=True).order_by("code")
        self.fields["seller"].queryset = sellers
        self.fields["seller"].initial = sellers.first()


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _step(line_number: int, line: str) -> dict:
    day, effect, *what = [*(part.strip() for part in line.split(";")), ""][: max(2, line.count(";") + 1)]
    if len(what) > 1 or not day.removeprefix("-").isdigit() or len(day) > 5:
        raise forms.ValidationError(
            f"Steps, line {line_number}: write days; effect; what – such as 7; notify; reminder"
        )
    detail = what[0] if what else ""
    return {
        "days_after_due": int(day),
        "effect": effect,
        "template": detail if effect == Effect.NOTIFY else "",
        "fee_basis": detail if effect != Effect.NOTIFY else "",
    }


def _amounts(line_number: int, line: str) -> dict:
    currency, *figures = [part.strip() for part in line.split(";")]
    try:
        minimum, fee = [Decimal(figure) if figure else None for figure in [*figures, "", ""][:2]]
    except InvalidOperation:
        minimum = fee = Decimal("NaN")
    if (
        currency not in currencies()
        or len(figures) > 2
        or not all(f is None or f.is_finite() for f in (minimum, fee))
    ):
        raise forms.ValidationError(
            f"Amounts, line {line_number}: write currency; minimum; fee – such as EUR; 5.00; 40.00"
        )
    return {"currency": currency, "minimum_amount": minimum or Decimal(0), "fee_amount": fee}


def _show_as_it_is(form: TermsForm, policies: list[DunningPolicy]) -> None:
    if len(policies) != 1:
        return
    [policy] = policies
    form.initial = {
        "name": policy.name,
        "entity_class": policy.entity_class,
        "is_default": policy.is_default,
        "steps": "\n".join(
            "; ".join(filter(None, [str(step.days_after_due), step.effect, step.template or step.fee_basis]))
            for step in policy.steps.all()
        ),
        "amounts": "\n".join(
            "; ".join(
                [one.currency, number(one.minimum_amount).replace(",", "")]
                + ([number(one.fee_amount).replace(",", "")] if one.fee_amount else [])
            )
            for one in policy.amounts.all()
        ),
        "interest_percent": policy.interest_percent and plain(policy.interest_percent),
        "fee_reference": policy.fee_reference,
    }


def _revise(request, policy, **terms):
    services.revise_policy(actor=actor_of(request), policy_id=policy.pk, **terms)


def _activate(request, policy):
    services.activate_policy(actor=actor_of(request), policy_id=policy.pk)


def _retire(request, policy, *, reason):
    services.retire_policy(actor=actor_of(request), policy_id=policy.pk, reason=reason)


def _draft(request: HttpRequest, *, seller: BillingEntity, **terms: object) -> DunningPolicy:
    return services.create_policy(actor=actor_of(request), seller_id=seller.pk, **terms)


@admin.register(DunningPolicy)
class DunningPolicyAdmin(ReadOnlyAdmin):
    empty_hint = "A policy says when late customers are reminded. Create one, then activate it."
    list_display = ("code", "revision", "name", "entity_class", "seller", "is_default", "shown_state")
    list_filter = ("state", "entity_class", "is_default")
    list_select_related = ("seller",)
    search_fields = ("code", "name", "entity_class")
    ordering = ("code", "-revision")
    change_form_after_template = "admin/tables.html"
    fields = (
        ("code", "revision", "shown_state"),
        ("name", "seller"),
        ("entity_class", "is_default"),
        ("shown_percent", "fee_reference"),
        "created_at",
    )
    readonly_fields = ("shown_state", "shown_percent", "created_at")
    console_actions = (
        ConsoleAction(
            name="activate",
            description="Activate",
            effect="Customers are reminded by it from the next run on; the former revision is retired.",
            permission="dunning.activate_policy",
            run=_activate,
            icon="play_circle",
            applies=lambda policy: policy.state == PolicyState.DRAFT,
        ),
        ConsoleAction(
            name="revise",
            description="Revise…",
            effect="The next revision is drafted. Nothing changes until it is activated; open cases keep theirs.",
            permission="dunning.create_policy",
            form=TermsForm,
            prepare=_show_as_it_is,
            run=_revise,
            icon="edit",
        ),
        ConsoleAction(
            name="retire",
            description="Retire…",
            effect="No case is opened by it any more; its customers go by the default, open cases are finished.",
            permission="dunning.retire_policy",
            form=ReasonForm,
            run=_retire,
            icon="block",
            danger=True,
            applies=lambda policy: policy.state != PolicyState.RETIRED,
        ),
    )

    def get_queryset(self, request):
        return queries.policies_for(request.user).order_by(*self.ordering)

    def has_add_permission(self, request, *args):
        return request.user.has_perm("dunning.create_policy")

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            PolicyForm(request.POST or None, user=request.user),
            title="Draft a dunning policy",
            explanation="Nobody is reminded by a draft. Look at it, then activate it.",
            submit_label="Draft",
            save=partial(_draft, request),
            done=lambda policy: f"{policy}: drafted. Activate it to use it.",
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        policy = self.get_object(request, unquote(object_id))
        tables = [_steps(policy), _amounts_of(policy)] if policy is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(
        description="State",
        ordering="state",
        label={"draft": "info", "active": "success", "retired": "danger"},
    )
    def shown_state(self, policy):
        return Labelled(policy.state, PolicyState)

    @display(description="Interest per year")
    def shown_percent(self, policy):
        return f"{number(policy.interest_percent)} %" if policy.interest_percent else "none"


def _steps(policy: DunningPolicy) -> Table:
    address = reverse("admin:dunning_dunningmail_preview")
    return Table(
        title="Steps",
        headers=["#", "When", "What", "Letter"],
        rows=[
            [
                str(step.position),
                step.when,
                step.what,
                format_html('<a class="underline" href="{}?template={}">Preview…</a>', address, step.template)
                if step.template
                else "–",
            ]
            for step in policy.steps.all()
        ],
        note="Each happens at most once per invoice. If several days are reached at once, the last one is carried"
        " out and the others are passed over. Days on which everything is paused are not counted.",
    )


def _amounts_of(policy: DunningPolicy) -> Table:
    return Table(
        title="Amounts",
        headers=["Currency", "Nobody is reminded below", "Flat late fee"],
        rows=[
            [
                one.currency,
                money(one.minimum_amount, one.currency),
                money(one.fee_amount, one.currency) if one.fee_amount else "–",
            ]
            for one in sorted(policy.amounts.all(), key=lambda one: one.currency)
        ],
        note="The sum is what a customer is late with in the currency in all, less what is paused.",
    )


class AssignmentForm(ScopedForm):
    customer = forms.ModelChoiceField(BillingEntity.objects.none(), help_text="It and all below it.")
    policy = forms.ModelChoiceField(DunningPolicy.objects.none())
    starts_on = forms.DateField(widget=forms.DateInput(), initial=today)
    ends_on = forms.DateField(
        widget=forms.DateInput(),
        required=False,
        help_text="The first day on which it does not hold, if known.",
    )

    class Meta:
        model = DunningAssignment
        fields = ("customer", "policy", "starts_on", "ends_on")

    def limit_to(self, user: User) -> None:
        within = entities_for(user, "dunning.assign_policy").filter(parent__isnull=False)
        self.fields["customer"].queryset = within.order_by("code")
        active = queries.policies_for(user).filter(state=PolicyState.ACTIVE)
        self.fields["policy"].queryset = active.order_by("code")


class EndForm(forms.Form):
    ends_on = forms.DateField(
        widget=forms.DateInput(), initial=today, help_text="The first day on which it does not hold."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _end(request, assignment, *, ends_on, reason):
    services.end_assignment(
        actor=actor_of(request), assignment_id=assignment.pk, ends_on=ends_on, reason=reason
    )


@admin.register(DunningAssignment)
class DunningAssignmentAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Customers follow the policy of their class; assign one here to make an exception."
    creates = "dunning.assign_policy"
    create_form = AssignmentForm
    list_display = ("customer", "policy", "starts_on", "shown_end")
    list_select_related = ("customer", "policy")
    search_fields = ("customer__code", "customer__name", "policy__code")
    ordering = ("customer__code", "-starts_on")
    fields = (("customer", "policy"), ("starts_on", "shown_end"), "created_at")
    readonly_fields = ("shown_end", "created_at")
    console_actions = (
        ConsoleAction(
            name="end",
            description="End…",
            effect="Cases opened from that day on go by the nearest policy above, or the seller's default.",
            permission="dunning.end_assignment",
            run=_end,
            form=EndForm,
            icon="event_busy",
        ),
    )

    def get_queryset(self, request):
        return queries.assignments_for(request.user).order_by(*self.ordering)

    def create(self, request, given):
        customer, policy = given.pop("customer"), given.pop("policy")
        return services.assign_policy(
            actor=actor_of(request), customer_id=customer.pk, policy_id=policy.pk, **given
        )

    @display(description="Last day", ordering="ends_on")
    def shown_end(self, assignment):
        return assignment.ends_on - timedelta(days=1) if assignment.ends_on else "until further notice"
