"""Allocation rules and their runs in the console: what a rule would do is shown before it does it."""

from datetime import date, timedelta

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Prefetch
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, today_at
from billing.invoicing import queries, services
from billing.invoicing.allocation.console.step_text import steps_from
from billing.invoicing.allocation.console.target_text import targets_from, text_of
from billing.invoicing.allocation.services.gl_codes import line_of_descent
from billing.invoicing.allocation.services.simulation import Simulation
from billing.invoicing.models import (
    AllocationRule,
    AllocationRuleVersion,
    AllocationRun,
    LineKind,
    RuleKind,
)
from billing.invoicing.states import AllocationRunState, RuleState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin, names_of_actors
from billing.kernel.console.forms import today
from billing.kernel.console.tables import Table, money
from billing.subscriptions.models import Product
from billing.subscriptions.queries import products_for
from billing.usage.models import Meter
from billing.usage.queries import meters_for

TARGETS_HELP = (
    "One a line: “IT 60 %”, “LAB 30.00 EUR”, “by headcount 25 %”, “by seats 5 %”, “by usage of METER 10 %”,"
    " “OPS remainder”. Departments are named by their codes."
)
BAR_CELLS = 20


class TermsFields(forms.Form):
    """The wording of a version."""

    kind = forms.ChoiceField(
        choices=[
            (RuleKind.STANDARD, "What names no department"),
            (RuleKind.OVERRIDE, "All of a line, whatever department it names"),
        ],
        label="Divides",
    )
    priority = forms.IntegerField(
        initial=0,
        min_value=-1000,
        max_value=1000,
        help_text="Of equally specific rules the highest goes first.",
    )
    product = forms.ModelChoiceField(Product.objects.none(), required=False, empty_label="Any")
    meter = forms.ModelChoiceField(Meter.objects.none(), required=False, empty_label="Any")
    gl_code = forms.CharField(max_length=64, required=False, label="GL code", help_text="Any if empty.")
    line_kind = forms.ChoiceField(choices=[("", "Any"), *LineKind.choices], required=False)
    starts_on = forms.DateField(widget=forms.DateInput(), initial=today)
    ends_on = forms.DateField(widget=forms.DateInput(), required=False, help_text="Exclusive.")
    targets = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6}), help_text=TARGETS_HELP, max_length=20_000
    )


class RuleForm(ScopedForm, TermsFields):
    entity = forms.ModelChoiceField(
        BillingEntity.objects.none(), help_text="Whose lines it divides, and of those below it."
    )

    class Meta:
        model = AllocationRule
        fields = ("entity", "code", "name")

    def limit_to(self, user: User) -> None:
        self.fields["entity"].queryset = entities_for(user, "invoicing.create_allocation_rule").order_by(
            "code"
        )
        self.fields["product"].queryset = products_for(user).order_by("code")
        self.fields["meter"].queryset = meters_for(user).order_by("code")


class PeriodForm(forms.Form):
    starts_on = forms.DateField(
        widget=forms.DateInput(), label="Compare from", initial=lambda: _last_month()[0]
    )
    ends_on = forms.DateField(
        widget=forms.DateInput(), label="Until", initial=lambda: _last_month()[1], help_text="Exclusive."
    )


class RunForm(PeriodForm):
    starts_on = forms.DateField(
        widget=forms.DateInput(), label="From", initial=lambda: _last_month()[0], help_text="By service day."
    )
    ends_on = forms.DateField(
        widget=forms.DateInput(), label="Until", initial=lambda: _last_month()[1], help_text="Exclusive."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class RetireForm(forms.Form):
    ends_on = forms.DateField(
        widget=forms.DateInput(), initial=today, help_text="Lines whose service starts from then on."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class ReverseForm(forms.Form):
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _last_month() -> tuple[date, date]:
    this = today().replace(day=1)
    return (this - timedelta(days=1)).replace(day=1), this


def _offer_what_is_sold(form: TermsFields, rules: list[AllocationRule]) -> None:
    """What is sold to the rule's entity; the last wording to begin with."""
    above = {entity_id for rule in rules for entity_id in line_of_descent(rule.entity)}
    form.fields["product"].queryset = Product.objects.filter(entity__in=above).order_by("code")
    form.fields["meter"].queryset = Meter.objects.filter(entity__in=above).order_by("code")
    if len(rules) == 1:
        last = _versions_of(rules[0])[-1]
        for name in ("kind", "priority", "product", "meter", "gl_code", "line_kind", "starts_on", "ends_on"):
            form.fields[name].initial = getattr(last, name)
        form.fields["targets"].initial = "\n".join(text_of(target) for target in last.targets.all())


def _terms(entity: BillingEntity, given: dict) -> services.RuleTerms:
    given = {name: given[name] for name in TermsFields.base_fields}
    near = line_of_descent(entity)
    meters = Meter.objects.filter(entity__in=near)
    by_code = {m.code: m.pk for m in sorted(meters, key=lambda meter: near.index(meter.entity_id))}
    product, meter = given.pop("product"), given.pop("meter")
    return services.RuleTerms(
        product_id=product and product.pk,
        meter_id=meter and meter.pk,
        targets=targets_from(given.pop("targets"), meters=by_code),
        **given,
    )


def _revise(request, rule, **given):
    services.revise_allocation_rule(
        actor=actor_of(request), rule_id=rule.pk, version=rule.version, terms=_terms(rule.entity, given)
    )


def _activate(request, rule, **compared):
    services.activate_allocation_rule(actor=actor_of(request), rule_id=rule.pk, version=rule.version)


def _retire(request, rule, *, ends_on, reason):
    services.retire_allocation_rule(actor=actor_of(request), rule_id=rule.pk, ends_on=ends_on, reason=reason)


def _run(request, rule, *, starts_on, ends_on, reason):
    services.run_allocation_rule(
        actor=actor_of(request),
        rule_id=rule.pk,
        starts_on=starts_on,
        ends_on=ends_on,
        posted_on=today_at(rule.entity),
        reason=reason,
    )


def _simulated(request, rule, *, starts_on, ends_on, reason=None):
    simulation = services.simulate_allocation_rule(rule_id=rule.pk, starts_on=starts_on, ends_on=ends_on)
    return [simulation_table(simulation, title=f"{simulation.version}: {starts_on} – {ends_on}")]


def simulation_table(simulation: Simulation, *, title: str) -> Table:
    """Before, after and difference of every department, with a bar for what it bears after."""
    most = max((abs(shift.after_amount) for shift in simulation.shifts), default=0)
    return Table(
        title=title,
        headers=["Department", "Before", "After", "Difference", ""],
        rows=[
            [
                str(shift.department),
                money(shift.before_amount, shift.currency),
                money(shift.after_amount, shift.currency),
                money(shift.difference_amount, shift.currency),
                "█" * int(BAR_CELLS * abs(shift.after_amount) / most) if most else "",
            ]
            for shift in simulation.shifts
        ],
        note=f"{simulation.lines_divided} of {simulation.lines_in_scope} posted lines in scope would be divided"
        " by it; net amounts.",
    )


@admin.register(AllocationRule)
class AllocationRuleAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Without a rule, what names no department is the cost of the default department."
    creates = "invoicing.create_allocation_rule"
    create_form = RuleForm
    list_display = ("code", "name", "entity", "shown_state", "shown_last", "shown_targets")
    list_select_related = ("entity",)
    search_fields = ("code", "name", "entity__code", "entity__name")
    search_help_text = "Code or name of the rule or of its entity"
    ordering = ("entity__code", "code")
    fields = (("entity", "code", "name"), ("shown_state", "created_at"))
    readonly_fields = ("shown_state", "created_at")
    change_form_after_template = "admin/tables.html"
    console_actions = (
        ConsoleAction(
            name="revise",
            description="Draft a version…",
            effect="The rule's draft is written anew, or its next version begun. What is in force stays.",
            permission="invoicing.create_allocation_rule",
            run=_revise,
            form=TermsFields,
            prepare=_offer_what_is_sold,
            icon="edit",
        ),
        ConsoleAction(
            name="activate",
            description="Activate…",
            effect="The draft divides lines that are issued from now on. The version before it ends where it starts.",
            permission="invoicing.activate_allocation_rule",
            run=_activate,
            form=PeriodForm,
            preview=_simulated,
            preview_label="Show what it would have done",
            icon="play_arrow",
            applies=lambda rule: any(v.state == RuleState.DRAFT for v in _versions_of(rule)),
        ),
        ConsoleAction(
            name="run",
            description="Allocate a period anew…",
            effect="Posted lines of the period are taken back and posted anew by the rule, revenue with them.",
            permission="invoicing.run_allocation",
            run=_run,
            form=RunForm,
            icon="published_with_changes",
            danger=True,
            applies=lambda rule: any(v.state != RuleState.DRAFT for v in _versions_of(rule)),
        ),
        ConsoleAction(
            name="retire",
            description="Retire…",
            effect="Lines whose service starts from that day on are no longer divided by it. What is posted stays.",
            permission="invoicing.retire_allocation_rule",
            run=_retire,
            form=RetireForm,
            icon="event_busy",
            danger=True,
            applies=lambda rule: any(v.state == RuleState.ACTIVE for v in _versions_of(rule)),
        ),
    )

    def get_queryset(self, request):
        rules = queries.allocation_rules_for(request.user).select_related("entity")
        versions = AllocationRuleVersion.objects.order_by("number").prefetch_related("targets__driver_meter")
        listed = Prefetch("versions", versions.select_related("product", "meter"), to_attr="listed_versions")
        return rules.prefetch_related(listed).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        rule = self.get_object(request, unquote(object_id))
        tables = [_versions_table(rule)] if rule is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def create(self, request, given):
        return services.create_allocation_rule(
            actor=actor_of(request),
            entity_id=given["entity"].pk,
            code=given["code"],
            name=given["name"],
            terms=_terms(given["entity"], given),
        )

    @display(description="State", label={"draft": "info", "active": "success", "retired": "default"})
    def shown_state(self, rule):
        return Labelled(rule.state, RuleState)

    @display(description="Last version")
    def shown_last(self, rule):
        return _wording(_versions_of(rule)[-1])

    @display(description="Targets")
    def shown_targets(self, rule):
        return ", ".join(text_of(target) for target in _versions_of(rule)[-1].targets.all())


def _versions_of(rule: AllocationRule) -> list[AllocationRuleVersion]:
    listed = getattr(rule, "listed_versions", None)
    return listed if listed is not None else list(rule.versions.order_by("number"))


def _versions_table(rule: AllocationRule) -> Table:
    return Table(
        title="Versions",
        headers=["#", "State", "Days", "Divides", "Priority", "Targets"],
        rows=[
            [
                str(version.number),
                version.get_state_display(),
                f"{version.starts_on} – {version.ends_on or 'further notice'}",
                _wording(version),
                str(version.priority),
                ", ".join(text_of(target) for target in version.targets.all()),
            ]
            for version in _versions_of(rule)
        ],
        note="By the day a line's service starts; the end is exclusive.",
    )


def _wording(version: AllocationRuleVersion) -> str:
    """ "Standard: lines of product P, kind usage"."""
    named = [
        f"product {version.product}" if version.product else "",
        f"meter {version.meter}" if version.meter else "",
        f"GL code {version.gl_code}" if version.gl_code else "",
        f"kind {version.line_kind}" if version.line_kind else "",
        f"in {version.currency}" if version.currency else "",
    ]
    return f"{version.get_kind_display()}: {', '.join(filter(None, named)) or 'all lines'}"


def _reverse(request, run, *, reason):
    services.reverse_allocation_run(
        actor=actor_of(request),
        run_id=run.pk,
        reversed_on=today_at(run.entity),
        reason=reason,
        version=run.version,
    )


class StepDownForm(ScopedForm):
    entity = forms.ModelChoiceField(
        BillingEntity.objects.none(), help_text="Whose departments give their cost away."
    )
    starts_on = forms.DateField(
        widget=forms.DateInput(),
        initial=lambda: _last_month()[0],
        help_text="Lines whose service starts from then",
    )
    ends_on = forms.DateField(
        widget=forms.DateInput(), initial=lambda: _last_month()[1], help_text="until before this day."
    )
    steps = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6}),
        max_length=20_000,
        help_text="One a line, in their order: “FACILITIES by headcount”, “IT to OPS 30, LAB 50”.",
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))

    class Meta:
        model = AllocationRun
        fields = ("entity", "starts_on", "ends_on", "steps", "reason")

    def limit_to(self, user: User) -> None:
        self.fields["entity"].queryset = entities_for(user, "invoicing.run_allocation").order_by("code")


@admin.register(AllocationRun)
class AllocationRunAdmin(CreatesByService, ReadOnlyAdmin):
    """Runs by a rule begin on the rule's page; what is added here is a step-down."""

    empty_hint = "A rule is run from its own page; here costs are stepped down from department to department."
    creates = "invoicing.run_allocation"
    create_form = StepDownForm
    change_form_after_template = "admin/tables.html"
    list_display = (
        "shown_what",
        "entity",
        "starts_on",
        "ends_on",
        "shown_state",
        "lines_moved",
        "finished_at",
    )
    list_filter = ("kind", "state", "starts_on")
    list_select_related = ("entity", "rule_version__rule")
    ordering = ("-id",)
    fields = (
        ("entity", "shown_what", "shown_state"),
        ("starts_on", "ends_on", "posted_on"),
        ("lines_moved", "lines_kept"),
        "reason",
        ("asked_by", "created_at", "finished_at"),
        ("reversed_on", "reversal_reason"),
    )
    readonly_fields = ("shown_what", "shown_state", "asked_by", "created_at")
    console_actions = (
        ConsoleAction(
            name="reverse",
            description="Reverse…",
            effect="The shares it replaced are posted as they were. Lines that were changed since stay as they are.",
            permission="invoicing.reverse_allocation_run",
            run=_reverse,
            form=ReverseForm,
            icon="undo",
            danger=True,
            applies=lambda run: run.state != AllocationRunState.REVERSED,
        ),
    )

    def get_queryset(self, request):
        return queries.allocation_runs_for(request.user).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        run = self.get_object(request, unquote(object_id))
        tables = [_steps_table(run)] if run is not None and run.steps else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def create(self, request, given):
        entity = given["entity"]
        run, _ = services.step_down_costs(
            actor=actor_of(request),
            entity_id=entity.pk,
            steps=steps_from(given["steps"]),
            starts_on=given["starts_on"],
            ends_on=given["ends_on"],
            posted_on=today_at(entity),
            reason=given["reason"],
        )
        return run

    @display(description="By")
    def shown_what(self, run):
        return str(run.rule_version) if run.rule_version else f"step-down, {len(run.steps)} steps"

    @display(
        description="State",
        ordering="state",
        label={"running": "info", "finished": "success", "reversing": "warning", "reversed": "default"},
    )
    def shown_state(self, run):
        return Labelled(run.state, AllocationRunState)

    @display(description="Asked for by")
    def asked_by(self, run):
        return names_of_actors({run.requested_by}).get(run.requested_by, run.requested_by)


def _steps_table(run: AllocationRun) -> Table:
    """With the weights that were found when it began."""
    names = {str(department.pk): str(department) for department in run.entity.departments.all()}
    return Table(
        title="Steps",
        headers=["#", "Department", "Gave to, by weight"],
        rows=[
            [
                str(number),
                names[step["giver"]],
                ", ".join(f"{names[pk]}: {weight}" for pk, weight in step["weights"].items()),
            ]
            for number, step in enumerate(run.steps, start=1)
        ],
    )
