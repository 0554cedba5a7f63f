"""Proposing rules in the console, and asking whom a request would ask."""

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import routing, services
from approvals.kinds import EFFECTS
from approvals.level_text import HELP, levels_from, text_of
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.services.ruling import RuleTerms
from billing.access.creating import ScopedForm
from billing.access.models import User, UserKind
from billing.entities.models import BillingEntity, Department
from billing.entities.queries import departments_for, entities_for
from billing.invoicing.console import Table, money
from billing.kernel.adminverbs import actor_of
from billing.kernel.errors import DomainError, Invalid
from billing.kernel.money import currencies

TEXT = {"max_length": 1000, "widget": forms.Textarea(attrs={"rows": 3})}
PROPOSE = "approvals.propose_rule"


class TermsFields(forms.Form):
    """Everything a version says, the fields by which requests of apps may be told apart excepted."""

    levels = forms.CharField(max_length=5000, widget=forms.Textarea(attrs={"rows": 4}), help_text=HELP)
    above_amount = forms.DecimalField(
        max_digits=19,
        decimal_places=4,
        min_value=0,
        required=False,
        help_text="Over 10,000 begins at 10,000.01. In the currency of the group's root entity. Empty: from zero.",
    )
    up_to_amount = forms.DecimalField(
        max_digits=19, decimal_places=4, min_value=0, required=False, help_text="Inclusive. Empty: any."
    )
    gl_codes = forms.CharField(max_length=2000, required=False, help_text="Separated by commas. Empty: any.")
    requesters = forms.CharField(
        max_length=2000,
        required=False,
        help_text="Addresses of who asks, separated by commas. Empty: anybody.",
    )
    priority = forms.IntegerField(
        initial=0, min_value=-1000, max_value=1000, help_text="Of rules that match, the highest holds."
    )
    due_days = forms.IntegerField(initial=5, min_value=1, max_value=366, label="Due after days")
    expires_days = forms.IntegerField(initial=30, min_value=1, max_value=366, label="Expires after days")
    is_enabled = forms.BooleanField(initial=True, required=False, help_text="Off, it matches nothing.")
    reason = forms.CharField(**TEXT, help_text="For who confirms it.")

    def clean_levels(self) -> list[dict]:
        try:
            return levels_from(self.cleaned_data["levels"])
        except Invalid as refusal:
            raise forms.ValidationError(refusal.detail) from refusal

    def clean_gl_codes(self) -> list[str]:
        return _listed(self.cleaned_data["gl_codes"])

    def clean_requesters(self) -> list:
        people = []
        for email in _listed(self.cleaned_data["requesters"]):
            person = User.objects.filter(email=email.lower(), kind=UserKind.PERSON).first()
            if person is None:
                raise forms.ValidationError(f"There is no person {email}.")
            people.append(person.pk)
        return people


class RuleForm(TermsFields, ScopedForm):
    """A new rule, in force once another controller confirms it."""

    entity = forms.ModelChoiceField(
        BillingEntity.objects.none(), help_text="It holds here and for all below."
    )
    name = forms.CharField(max_length=100)
    kind = forms.ChoiceField(required=False, help_text="Every kind: for a fallback only.")
    is_fallback = forms.BooleanField(
        required=False, help_text="Catches what no other rule does. It has no conditions."
    )
    department = forms.ModelChoiceField(Department.objects.none(), required=False, empty_label="Any")

    class Meta:
        model = ApprovalRule
        fields = ("entity", "name", "kind", "is_fallback")

    field_order = (
        "entity",
        "name",
        "kind",
        "is_fallback",
        "levels",
        "above_amount",
        "up_to_amount",
        "department",
    )

    def limit_to(self, user: User) -> None:
        self.fields["entity"].queryset = entities_for(user, PROPOSE).order_by("code")
        self.fields["department"].queryset = departments_for(user).order_by("path")
        self.fields["kind"].choices = [("", "Every kind"), *((kind, kind) for kind in sorted(EFFECTS))]


def prefill(form: forms.Form, rules: list[ApprovalRule]) -> None:
    """With the newest version of the one rule that is changed."""
    if form.is_bound or len(rules) != 1:
        return
    newest = rules[0].versions.all()[0]
    people = User.objects.filter(pk__in=newest.requesters).order_by("email").values_list("email", flat=True)
    form.initial = {
        "levels": text_of(newest.levels),
        "above_amount": newest.above_amount,
        "up_to_amount": newest.up_to_amount,
        "gl_codes": ", ".join(newest.gl_codes),
        "requesters": ", ".join(people),
        "priority": newest.priority,
        "due_days": newest.due_days,
        "expires_days": newest.expires_days,
        "is_enabled": newest.is_enabled,
    }


def propose(request: HttpRequest, given: dict) -> ApprovalRule:
    terms = {name: value for name, value in given.items() if name in TermsFields.base_fields}
    department = given["department"]
    return services.propose_rule(
        actor=actor_of(request),
        entity_id=given["entity"].pk,
        name=given["name"],
        kind=given["kind"],
        is_fallback=given["is_fallback"],
        terms=RuleTerms(**terms, department_id=department and department.pk),
    )


def propose_version(request: HttpRequest, rule: ApprovalRule, **given) -> ApprovalRule:
    """The department and the fields of the newest version stay: other ones are another rule, or the API's."""
    newest: ApprovalRuleVersion = rule.versions.all()[0]
    return services.propose_rule_version(
        actor=actor_of(request),
        rule_id=rule.pk,
        terms=RuleTerms(**given, department_id=newest.department_id, fields=newest.fields),
        version=rule.version,
    )


class SimulationForm(forms.Form):
    """Whom a request of the reader's would ask, by the rules in force."""

    entity = forms.ModelChoiceField(BillingEntity.objects.none())
    department = forms.ModelChoiceField(Department.objects.none(), required=False, empty_label="None")
    kind = forms.ChoiceField()
    amount = forms.DecimalField(max_digits=19, decimal_places=4, min_value=0)
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")

    def __init__(self, *args, entities: QuerySet, departments: QuerySet, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["entity"].queryset = entities
        self.fields["department"].queryset = departments
        self.fields["kind"].choices = [(kind, kind) for kind in sorted(EFFECTS)]


def simulated(request: HttpRequest, form: SimulationForm, *, at) -> list[Table]:
    """None asked: the form says why."""
    given = form.cleaned_data
    department = given["department"]
    try:
        route = services.preview_route(
            actor=actor_of(request),
            kind=given["kind"],
            entity_id=given["entity"].pk,
            department_id=department and department.pk,
            amount=given["amount"],
            currency=given["currency"],
            at=at,
        )
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
        return []
    return [_told(route, money(given["amount"], given["currency"]))]


def _told(route: routing.Route, amount: str) -> Table:
    return Table(
        title=f"{amount} falls under “{route.version.rule.name}”, version {route.version.number}",
        headers=["#", "Must agree", "Asked"],
        rows=[
            [
                str(position),
                f"{level.needed} of {len(level.people)} ({level.mode})",
                ", ".join(f"{person.name} ({person.email})" for person in level.people),
            ]
            for position, level in enumerate(route.levels, start=1)
        ],
        note="If you asked, together with what you asked for in the last 24 hours.",
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
