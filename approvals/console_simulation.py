"""Whom a request would ask: by the rules in force, and as if a proposed one were in force."""

from dataclasses import dataclass

from django import forms
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from approvals import queries, services
from approvals.console_rows import FieldsField, field_rows
from approvals.console_rules import DepartmentChoice
from approvals.console_versions import figure, newest
from approvals.kinds import EFFECTS, GENERAL
from approvals.models import ApprovalRule
from approvals.models.rules import GL_CODE_MAX
from approvals.services.previews import Outlook
from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import colleagues_of, departments_for, entities_for
from billing.entities.reach import may
from billing.kernel.console.actions import actor_of
from billing.kernel.console.forms import styled
from billing.kernel.console.tables import Table, money
from billing.kernel.errors import DomainError
from billing.kernel.money import currencies, minor_unit

ADDRESS = "admin:approvals_approvalrule_simulate"


class _Colleague(forms.ModelChoiceField):
    def __init__(self, **kwargs):
        super().__init__(User.objects.none(), required=False, **kwargs)

    def label_from_instance(self, person: User) -> str:
        return f"{person.name} ({person.email})"


class _Proposal(forms.ModelChoiceField):
    def label_from_instance(self, rule: ApprovalRule) -> str:
        return f"{rule.entity.code}: {rule.name}, version {newest(rule).number}"


class SimulationForm(forms.Form):
    """Of a request what the API's simulation takes."""

    entity = forms.ModelChoiceField(BillingEntity.objects.none())
    department = DepartmentChoice(empty_label="None")
    kind = forms.ChoiceField(initial=GENERAL)
    amount = forms.DecimalField(max_digits=19, decimal_places=4, min_value=0)
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    gl_code = forms.CharField(max_length=GL_CODE_MAX, required=False, label="GL code")
    requester = _Colleague(empty_label="You", label="Who asks")
    beneficiary = _Colleague(empty_label="Nobody", label="Who gains by it", help_text="Never decides.")
    custom_fields = FieldsField(single=True)
    proposed_rule = _Proposal(
        ApprovalRule.objects.none(),
        required=False,
        empty_label="None: only the rules in force",
        label="As if this proposal were in force",
    )

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        entities = entities_for(user)
        colleagues = colleagues_of(entities).order_by("name", "email")
        self.fields["entity"].queryset = entities.order_by("code")
        self.fields["department"].queryset = (
            departments_for(user).select_related("entity").order_by("entity__code", "path")
        )
        self.fields["kind"].choices = [(kind, kind) for kind in sorted(EFFECTS)]
        self.fields["requester"].queryset = colleagues
        self.fields["beneficiary"].queryset = colleagues
        self.fields["proposed_rule"].queryset = queries.rules_to_confirm(user).order_by(
            "entity__code", "name"
        )

    def clean_custom_fields(self) -> dict[str, str]:
        return {name: value for name, [value] in self.cleaned_data["custom_fields"].items()}

    def clean(self) -> dict:
        """The rules of a place are told to who may see them there."""
        given = super().clean()
        place = given.get("department") or given.get("entity")
        if place and not may(self.user, queries.VIEW_RULE, place):
            raise forms.ValidationError("You may not see the rules there.")
        return given


def page_of(model_admin, request: HttpRequest) -> TemplateResponse:
    """Filled in and answered; or, at first, filled in with what the proposal that is named in the address looks at."""
    asked = "amount" in request.GET
    rule = None if asked else _named(request)
    form = SimulationForm(
        request.GET if asked else None, user=request.user, initial=_telling(rule) if rule else None
    )
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Who would approve it?",
        "opts": model_admin.opts,
        "answer": "admin/tables.html",
        "tables": _answered(request, form) if form.is_valid() else [],
        "form": styled(form),
        "back": reverse("admin:approvals_approvalrule_changelist"),
        "back_label": "Back to the rules",
    }
    return TemplateResponse(request, "admin/inquiry.html", context)


def address_for(rule: ApprovalRule) -> str:
    return reverse(ADDRESS, query={"proposed_rule": rule.pk})


def _named(request: HttpRequest) -> ApprovalRule | None:
    field = SimulationForm(user=request.user).fields["proposed_rule"]
    try:
        return field.clean(request.GET.get("proposed_rule"))
    except forms.ValidationError:
        return None


def _telling(rule: ApprovalRule) -> dict:
    """A request that the proposed version covers, as far as one can be told from it."""
    version = newest(rule)
    amount = version.up_to_amount
    if amount is None and version.above_amount is not None:
        amount = version.above_amount + minor_unit(version.currency)
    return {
        "proposed_rule": rule,
        "entity": version.department.entity_id if version.department else rule.entity_id,
        "department": version.department_id,
        "kind": rule.kind or GENERAL,
        "amount": figure(amount, version.currency),
        "currency": version.currency,
        "gl_code": next(iter(version.gl_codes), ""),
        "requester": next(iter(version.requesters), None),
        "custom_fields": field_rows({name: values[:1] for name, values in version.fields.items()}),
    }


@dataclass(frozen=True)
class _Asked:
    """What the tables say of the request."""

    amount: str
    requester: User | None

    @property
    def note(self) -> str:
        name = self.requester.name if self.requester else "you"
        return f"If {name} asked, together with what {name} asked for in the last 24 hours."


def _answered(request: HttpRequest, form: SimulationForm) -> list[Table]:
    """None if the request itself could not be made: the form says why."""
    given = form.cleaned_data
    terms = {
        "actor": actor_of(request),
        "kind": given["kind"],
        "entity_id": given["entity"].pk,
        "amount": given["amount"],
        "currency": given["currency"],
        "gl_code": given["gl_code"],
        "fields": given["custom_fields"],
        "at": timezone.now(),
        **{
            f"{name}_id": given[name] and given[name].pk
            for name in ("department", "requester", "beneficiary")
        },
    }
    asked = _Asked(money(given["amount"], given["currency"]), given["requester"])
    rule = given["proposed_rule"]
    try:
        if rule is None:
            return [_told("", Outlook(route=services.preview_route(**terms)), asked)]
        compared = services.preview_proposal(**terms, proposed_rule_id=rule.pk)
    except DomainError as refusal:
        form.add_error(None, refusal.detail)
        return []
    then = "Once the proposal is confirmed"
    return [
        _told("Now: ", compared.now, asked),
        _told(f"{then}: " if compared.is_change else f"{then}, the same: ", compared.if_confirmed, asked),
    ]


def _told(when: str, outlook: Outlook, asked: _Asked) -> Table:
    route = outlook.route
    if route is None:
        return Table(
            title=f"{when}{asked.amount} cannot be asked for",
            headers=[],
            rows=[],
            note=outlook.refusal.detail,
        )
    return Table(
        title=f"{when}{asked.amount} falls under “{route.version.rule.name}”, version {route.version.number}",
        headers=["#", "Must agree", "Asked"],
        rows=[
            [
                str(position),
                f"{level.needed} of {len(level.people)} ({level.mode})",
                ", ".join(f"{person.name} ({person.email})" for person in level.people),
            ]
            for position, level in enumerate(route.levels, start=1)
        ],
        note=asked.note,
    )
