"""Proposing rules and changes of rules in the console."""

from django import forms
from django.http import HttpRequest

from approvals import services
from approvals.console_rows import FieldsField, LevelsField, field_rows, level_rows
from approvals.console_versions import figure, newest
from approvals.kinds import EFFECTS
from approvals.models import ApprovalRule
from approvals.models.rules import GL_CODE_MAX, GL_CODES_MAX
from approvals.services.rules import APPROVERS_MAX, RuleTerms
from billing.access.creating import ScopedForm
from billing.access.models import User, UserKind
from billing.entities.models import BillingEntity, Department
from billing.entities.queries import departments_for, entities_for
from billing.kernel.console.actions import actor_of

TEXT = {"max_length": 1000, "widget": forms.Textarea(attrs={"rows": 3})}
PROPOSE = "approvals.propose_rule"


class DepartmentChoice(forms.ModelChoiceField):
    """Departments of many entities: each with the code of its own."""

    def __init__(self, **kwargs):
        super().__init__(Department.objects.none(), required=False, **kwargs)

    def label_from_instance(self, department: Department) -> str:
        return f"{department.entity.code}: {department}"


class TermsFields(forms.Form):
    """Everything a version says."""

    levels = LevelsField(help_text="In this order; each waits for the one before.")
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
    department = DepartmentChoice(empty_label="Any", help_text="It and all below it.")
    gl_codes = forms.CharField(
        max_length=10_000, required=False, help_text="Separated by commas. Empty: any.", label="GL codes"
    )
    requesters = forms.CharField(
        max_length=20_000,
        required=False,
        help_text="Addresses of who asks, separated by commas. Empty: anybody.",
    )
    match_fields = FieldsField(
        label="Custom fields",
        help_text="Of the request. Every name must match, by one of the values given for it. None: any.",
    )
    priority = forms.IntegerField(
        initial=0, min_value=-1000, max_value=1000, help_text="Of rules that match, the highest holds."
    )
    due_days = forms.IntegerField(initial=5, min_value=1, max_value=366, label="Due after days")
    expires_days = forms.IntegerField(initial=30, min_value=1, max_value=366, label="Expires after days")
    is_enabled = forms.BooleanField(initial=True, required=False, help_text="Off, it matches nothing.")
    reason = forms.CharField(**TEXT, help_text="For who confirms it.")

    def clean_gl_codes(self) -> list[str]:
        codes = _listed(self.cleaned_data["gl_codes"])
        if len(codes) > GL_CODES_MAX or any(len(code) > GL_CODE_MAX for code in codes):
            raise forms.ValidationError(
                f"At most {GL_CODES_MAX} codes, none longer than {GL_CODE_MAX} signs."
            )
        return codes

    def clean_requesters(self) -> list:
        people = []
        emails = _listed(self.cleaned_data["requesters"])
        if len(emails) > APPROVERS_MAX:
            raise forms.ValidationError(f"At most {APPROVERS_MAX} people.")
        for email in emails:
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

    class Meta:
        model = ApprovalRule
        fields = ("entity", "name", "kind", "is_fallback")

    def limit_to(self, user: User) -> None:
        self.fields["entity"].queryset = entities_for(user, PROPOSE).order_by("code")
        self.fields["department"].queryset = departments_for(user).select_related("entity").order_by("path")
        self.fields["levels"].offer()
        self.fields["kind"].choices = [("", "Every kind"), *((kind, kind) for kind in sorted(EFFECTS))]

    def clean(self) -> dict:
        """In words what the database would say by the names of its constraints."""
        given = super().clean()
        entity, name, kind = given.get("entity"), given.get("name"), given.get("kind")
        there = ApprovalRule.objects.filter(entity=entity)
        if kind == "" and not given["is_fallback"]:
            self.add_error("kind", "Every kind is for a fallback only.")
        if entity and name and there.filter(name__iexact=name).exists():
            self.add_error("name", "The entity has a rule of this name.")
        if entity and given["is_fallback"] and there.filter(kind=kind, is_fallback=True).exists():
            self.add_error("is_fallback", "The kind has its fallback here.")
        return given


def prefill(form: TermsFields, rules: list[ApprovalRule]) -> None:
    """With the newest version of the rule. The departments are those of its entity and below."""
    [rule] = rules
    departments = Department.objects.select_related("entity").order_by("path")
    form.fields["department"].queryset = departments.filter(entity__path__startswith=rule.entity.path)
    version = newest(rule)
    form.fields["levels"].offer(version.levels)
    if form.is_bound:
        return
    people = User.objects.filter(pk__in=version.requesters).order_by("email").values_list("email", flat=True)
    form.initial = {
        "levels": level_rows(version.levels),
        "above_amount": figure(version.above_amount, version.currency),
        "up_to_amount": figure(version.up_to_amount, version.currency),
        "department": version.department_id,
        "gl_codes": ", ".join(version.gl_codes),
        "requesters": ", ".join(people),
        "match_fields": field_rows(version.fields),
        "priority": version.priority,
        "due_days": version.due_days,
        "expires_days": version.expires_days,
        "is_enabled": version.is_enabled,
    }


def propose(request: HttpRequest, given: dict) -> ApprovalRule:
    return services.propose_rule(
        actor=actor_of(request),
        entity_id=given["entity"].pk,
        name=given["name"],
        kind=given["kind"],
        is_fallback=given["is_fallback"],
        terms=_terms({name: given[name] for name in TermsFields.base_fields}),
    )


def propose_version(request: HttpRequest, rule: ApprovalRule, **given) -> ApprovalRule:
    return services.propose_rule_version(
        actor=actor_of(request), rule_id=rule.pk, terms=_terms(given), version=rule.version
    )


def _terms(given: dict) -> RuleTerms:
    department = given.pop("department")
    fields = given.pop("match_fields")
    return RuleTerms(**given, department_id=department and department.pk, fields=fields)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
