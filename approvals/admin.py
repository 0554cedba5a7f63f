"""The console's pages of approvals: what waits for me, every request with its levels and history, rules, stand-ins."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display

from approvals import (
    console_mails,  # noqa: F401  (registers its page)
    console_rules,
    console_simulation,
    queries,
    services,
)
from approvals.console_story import story
from approvals.console_versions import band_of, newest, told_of, versions_table
from approvals.models import (
    ApprovalDelegation,
    ApprovalRequest,
    ApprovalRule,
    InboxRequest,
    StuckRequest,
)
from approvals.signing_in import require_signed_in_lately
from approvals.states import ActionKind, RequestState, VersionState
from approvals.stuck_levels import stuck_levels
from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.entities.queries import colleagues_of, entities_for
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm, today
from billing.kernel.console.tables import money
from billing.kernel.errors import NotFound

TEXT = {"max_length": 1000, "widget": forms.Textarea(attrs={"rows": 3})}
STATES = {
    "pending": "info",
    "approved": "success",
    "rejected": "danger",
    "canceled": "warning",
    "expired": "warning",
    "superseded": "warning",
}


class CommentForm(forms.Form):
    comment = forms.CharField(**TEXT)


class _Password(forms.Form):
    password = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="If you signed in some time ago.",
    )


class ApproveForm(_Password):
    comment = forms.CharField(**TEXT, required=False)
    field_order = ("comment", "password")


class RejectForm(_Password):
    comment = forms.CharField(**TEXT)
    field_order = ("comment", "password")


def _decide(decision):
    def decide(request, subject, *, comment, password):
        """The content of a request never changes, so what the page showed is what its digest is of."""
        require_signed_in_lately(request, password=password)
        services.decide_request(
            actor=actor_of(request),
            request_id=subject.pk,
            decision=decision,
            digest=subject.digest,
            at=timezone.now(),
            comment=comment,
        )

    return decide


def _comment(request, subject, *, comment):
    services.comment_on_request(actor=actor_of(request), request_id=subject.pk, comment=comment)


def _cancel(request, subject, *, comment):
    services.cancel_request(actor=actor_of(request), request_id=subject.pk, comment=comment)


def _is_pending(subject: ApprovalRequest) -> bool:
    return subject.state == RequestState.PENDING


APPROVE, REJECT = (
    ConsoleAction(
        name="approve",
        description="Approve…",
        effect="You agree to exactly what the request says. The last approval carries it out at once.",
        permission="approvals.decide_request",
        run=_decide(ActionKind.APPROVE),
        form=ApproveForm,
        icon="check_circle",
        applies=_is_pending,
    ),
    ConsoleAction(
        name="reject",
        description="Reject…",
        effect="The request is over for everybody. Who asked reads why.",
        permission="approvals.decide_request",
        run=_decide(ActionKind.REJECT),
        form=RejectForm,
        icon="cancel",
        danger=True,
        applies=_is_pending,
    ),
)


class RequestPages(ReadOnlyAdmin):
    list_display = (
        "title",
        "shown_amount",
        "entity",
        "requester",
        "kind",
        "due_on",
        "shown_state",
    )
    list_filter = ("state", "kind", "due_on")
    search_fields = ("title", "requester__name", "entity__name", "entity__code")
    search_help_text = "Title, who asked, or name or code of the entity"
    ordering = ("-id",)
    change_form_after_template = "admin/tables.html"
    fields = (
        ("title", "kind", "shown_state"),
        ("entity", "department", "gl_code"),
        ("shown_amount", "shown_base", "shown_matched"),
        ("requester", "beneficiary"),
        ("due_on", "expires_on", "decided_at"),
        "digest",
    )
    readonly_fields = ("shown_amount", "shown_base", "shown_matched", "shown_state")

    def change_view(self, request, object_id, form_url="", extra_context=None):
        subject = self.get_object(request, unquote(object_id))
        tables = story(subject) if subject is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def described(self, subject):
        return (
            f"{subject}, {self.shown_amount(subject)}, asked for by {subject.requester} for {subject.entity}"
        )

    @display(description="Amount", ordering="amount")
    def shown_amount(self, subject):
        return money(subject.amount, subject.currency)

    @display(description="In the group's currency")
    def shown_base(self, subject):
        if subject.base_amount is None:
            return "No rate is known: it counts as above every bound"
        rate = f" at {subject.rate.normalize():f}" if subject.rate != 1 else ""
        return f"{money(subject.base_amount, subject.base_currency)}{rate}"

    @display(description="With the same person's of 24 hours")
    def shown_matched(self, subject):
        if subject.matched_amount is None:
            return "–"
        return money(subject.matched_amount, subject.base_currency)

    @display(description="State", ordering="state", label=STATES)
    def shown_state(self, subject):
        return Labelled(subject.state, RequestState)


@admin.register(InboxRequest)
class InboxAdmin(RequestPages):
    """What waits for the reader's own decision."""

    empty_hint = "Nothing waits for your decision."
    list_filter = ("kind", "due_on")
    ordering = ("due_on", "id")
    console_actions = (APPROVE, REJECT)

    def get_queryset(self, request):
        waiting = queries.inbox_of(request.user, as_of=today())
        return (
            InboxRequest.objects.filter(pk__in=waiting.values("pk"))
            .select_related("entity", "department", "requester", "beneficiary")
            .order_by(*self.ordering)
        )


class ReassignForm(forms.Form):
    from_email = forms.EmailField(label="Who does not decide any more")
    to_email = forms.EmailField(
        label="Who is asked instead", help_text="Not yourself, and nobody with a part in it."
    )
    comment = forms.CharField(**TEXT)


def _reassign(request, subject, *, from_email, to_email, comment):
    found = [User.objects.filter(email=email.strip().lower()).first() for email in (from_email, to_email)]
    if None in found:
        raise NotFound("There is no account with this address.")
    leaver, successor = found
    services.reassign_request(
        actor=actor_of(request),
        request_id=subject.pk,
        from_id=leaver.pk,
        to_id=successor.pk,
        comment=comment,
    )


REASSIGN = ConsoleAction(
    name="reassign",
    description="Hand over…",
    effect="Every open level that waits for the one asks the other instead. What was decided stays.",
    permission="approvals.reassign_request",
    run=_reassign,
    form=ReassignForm,
    icon="swap_horiz",
    applies=_is_pending,
)


@admin.register(StuckRequest)
class StuckAdmin(RequestPages):
    """What nobody who is asked may decide any more: choose those of one leaver, and hand them over."""

    list_filter = ("kind", "due_on")
    ordering = ("due_on", "id")
    console_actions = (REASSIGN,)

    def get_queryset(self, request):
        """Found once for a page: it asks for its rows several times."""
        if not hasattr(request, "stuck"):
            levels = stuck_levels(queries.overseen_by(request.user))
            request.stuck = {level.request_id for level in levels}
        return (
            StuckRequest.objects.filter(pk__in=request.stuck)
            .select_related("entity", "department", "requester", "beneficiary")
            .order_by(*self.ordering)
        )


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(RequestPages):
    empty_hint = "Nobody has asked for approval yet."
    console_actions = (
        APPROVE,
        REJECT,
        ConsoleAction(
            name="comment",
            description="Comment…",
            effect="What you say stays with the request.",
            permission="approvals.comment_request",
            run=_comment,
            form=CommentForm,
            icon="chat",
        ),
        ConsoleAction(
            name="cancel",
            description="Cancel…",
            effect="You withdraw your request: nobody is asked any more.",
            permission="approvals.cancel_request",
            run=_cancel,
            form=CommentForm,
            icon="undo",
            applies=_is_pending,
        ),
        REASSIGN,
    )

    def get_queryset(self, request):
        return queries.requests_for(request.user).order_by(*self.ordering)


def _confirm(request, rule):
    services.confirm_rule(actor=actor_of(request), rule_id=rule.pk, version=rule.version)


def _withdraw(request, rule, *, reason):
    services.withdraw_rule(actor=actor_of(request), rule_id=rule.pk, reason=reason)


def _is_proposed(rule: ApprovalRule) -> bool:
    return newest(rule).state == VersionState.PROPOSED


def _try(shown: ReadOnlyAdmin, request: HttpRequest, rule: ApprovalRule) -> HttpResponse:
    """To the simulation, filled in with what the proposed version looks at."""
    if not _is_proposed(rule):
        shown.message_user(request, f"{rule} has no open proposal.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:approvals_approvalrule_change", args=[rule.pk]))
    return HttpResponseRedirect(console_simulation.address_for(rule))


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Without a rule, nothing needs approval."
    creates = console_rules.PROPOSE
    create_form = console_rules.RuleForm
    list_display = ("name", "entity", "kind", "shown_band", "is_fallback", "shown_state")
    list_filter = ("versions__state", "kind", "is_fallback")
    search_fields = ("name", "entity__name", "entity__code")
    ordering = ("name", "id")
    actions_list = ("simulate",)
    change_form_after_template = "admin/tables.html"
    fields = (("name", "entity"), ("kind", "is_fallback"), "shown_state")
    readonly_fields = ("shown_state",)
    console_actions = (
        ConsoleAction(
            name="propose",
            description="Propose a change…",
            effect="The new terms are in force, in the place of the present ones, once another controller confirms them.",
            permission=console_rules.PROPOSE,
            run=console_rules.propose_version,
            form=console_rules.TermsFields,
            prepare=console_rules.prefill,
            icon="edit",
            of_one=True,
            applies=lambda rule: not _is_proposed(rule),
        ),
        ConsoleAction(
            name="try",
            description="What would it change?",
            effect="Nothing is changed.",
            permission=queries.VIEW_RULE,
            run=_try,
            page=_try,
            icon="person_search",
            applies=_is_proposed,
        ),
        ConsoleAction(
            name="confirm",
            description="Confirm the proposal…",
            effect="The proposed version is in force for every request from now on, in the place of the present one.",
            permission="approvals.confirm_rule",
            run=_confirm,
            icon="verified",
            applies=_is_proposed,
        ),
        ConsoleAction(
            name="withdraw",
            description="Withdraw the proposal…",
            effect="The proposed version is dropped. What is in force stays.",
            permission="approvals.withdraw_rule",
            run=_withdraw,
            form=ReasonForm,
            icon="undo",
            applies=_is_proposed,
        ),
    )

    def get_queryset(self, request):
        return queries.rules_for(request.user).order_by(*self.ordering)

    def create(self, request, given):
        return console_rules.propose(request, given)

    def has_simulate_permission(self, request):
        return request.user.has_perm(queries.VIEW_RULE)

    @action(
        description="Who would approve it?",
        url_path="simulate",
        icon="person_search",
        permissions=["simulate"],
    )
    def simulate(self, request: HttpRequest) -> HttpResponse:
        """By the rules in force, and as if a proposed one were. Nothing is kept."""
        return console_simulation.page_of(self, request)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        rule = self.get_object(request, unquote(object_id))
        tables = [versions_table(rule)] if rule is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def described(self, rule):
        return told_of(rule)

    @display(description="Amounts")
    def shown_band(self, rule):
        return band_of(newest(rule))

    @display(
        description="State",
        label={"proposed": "warning", "active": "success", "ended": "danger", "withdrawn": "danger"},
    )
    def shown_state(self, rule):
        return Labelled(newest(rule).state, VersionState)


class DelegationForm(ScopedForm):
    class Meta:
        model = ApprovalDelegation
        fields = ("delegate", "starts_on", "ends_on", "reason")
        widgets = {
            "starts_on": forms.DateInput(attrs={"type": "date"}),
            "ends_on": forms.DateInput(attrs={"type": "date"}),
            "reason": forms.Textarea(attrs={"rows": 3}),
        }
        help_texts = {"ends_on": "The first day on which you decide alone again."}

    def limit_to(self, user: User) -> None:
        colleagues = colleagues_of(entities_for(user)).exclude(pk=user.pk)
        self.fields["delegate"].queryset = colleagues.order_by("name")


def _revoke(request, delegation):
    services.revoke_delegation(actor=actor_of(request), delegation_id=delegation.pk)


@admin.register(ApprovalDelegation)
class ApprovalDelegationAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Name who decides for you while you are away."
    creates = "approvals.delegate_approvals"
    create_form = DelegationForm
    list_display = ("delegator", "delegate", "starts_on", "ends_on", "shown_limits", "revoked_at")
    list_filter = ("starts_on", "ends_on")
    search_fields = ("delegator__name", "delegate__name")
    ordering = ("-id",)
    fields = (
        ("delegator", "delegate"),
        ("starts_on", "ends_on", "revoked_at"),
        "shown_limits",
        "reason",
    )
    readonly_fields = ("shown_limits",)
    console_actions = (
        ConsoleAction(
            name="revoke",
            description="Revoke…",
            effect="The delegate decides nothing in your place any more. What was decided stays.",
            permission="approvals.delegate_approvals",
            run=_revoke,
            icon="person_off",
            danger=True,
            applies=lambda delegation: delegation.revoked_at is None,
        ),
    )

    def get_queryset(self, request):
        return queries.delegations_for(request.user).order_by(*self.ordering)

    def may(self, request, action, delegation):
        """By either of the two."""
        involved = {delegation.delegator_id, delegation.delegate_id}
        return request.user.has_perm(action.permission) and request.user.pk in involved

    def create(self, request, given):
        delegate = given.pop("delegate")
        return services.delegate_approvals(
            actor=actor_of(request), delegate_id=delegate.pk, as_of=today(), **given
        )

    @display(description="Only")
    def shown_limits(self, delegation):
        limits = [
            ", ".join(delegation.kinds),
            delegation.amount is not None and f"up to {money(delegation.amount, delegation.currency)}",
            delegation.request and str(delegation.request),
        ]
        return "; ".join(filter(None, limits)) or "–"
