import django_filters as filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from approvals import queries, services
from approvals.api import serializers
from approvals.kinds import GENERAL
from approvals.models import ApprovalDelegation, ApprovalRequest, ApprovalRule
from approvals.services.decisions import Decided
from approvals.services.previews import Outlook
from approvals.signing_in import require_signed_in_lately
from approvals.states import DECISIONS, ActionKind, RequestState
from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.kernel.api.serializers import NoInput
from billing.kernel.api.viewsets import ServiceViewSet
from billing.kernel.errors import NotFound
from billing.kernel.ids import uuid7

REASSIGN = "approvals.reassign_request"


class RequestFilter(filters.FilterSet):
    """`inbox=true`: what waits for your decision now."""

    kind = filters.CharFilter()
    state = filters.MultipleChoiceFilter(choices=RequestState.choices)
    entity = filters.UUIDFilter(field_name="entity_id")
    department = filters.UUIDFilter(field_name="department_id")
    requester = filters.UUIDFilter(field_name="requester_id")
    subject_id = filters.UUIDFilter()
    inbox = filters.BooleanFilter(method="by_inbox")

    class Meta:
        model = ApprovalRequest
        fields = ()

    def by_inbox(self, queryset, name, value):
        waiting = queries.inbox_of(self.request.user, as_of=timezone.now().date()).values("pk")
        return queryset.filter(pk__in=waiting) if value else queryset.exclude(pk__in=waiting)


class RequestViewSet(ActingPermission, ServiceViewSet):
    """Requests for approval: your own, those you are asked about, and for controllers and auditors all within reach."""

    serializer_class = serializers.RequestRead
    filterset_class = RequestFilter
    lookup_url_kwarg = "request_id"
    ordering_fields = ("created_at", "due_on", "amount")
    search_fields = ("title", "entity__name", "entity__code", "requester__name")
    conditional_reads = False  # what others say is not of the request's version
    idempotency_required_actions = frozenset({"process", "bulk_approve"})
    action_permissions = {
        "list": queries.VIEW_REQUEST,
        "retrieve": queries.VIEW_REQUEST,
        "create": "approvals.request_approval",
        "process": "approvals.decide_request",
        "bulk_approve": "approvals.decide_request",
        "comment": "approvals.comment_request",
        "cancel": "approvals.cancel_request",
        "simulate": queries.VIEW_RULE,
    }

    def get_queryset(self):
        return queries.with_story(seen_or_done(queries.requests_for, self, queries.VIEW_REQUEST))

    @extend_schema(request=serializers.RequestCreate, responses={201: serializers.RequestRead})
    def create(self, request):
        """Request approval for something outside of this system; acts in it are asked about where they are done."""
        order = self.parse(serializers.RequestCreate)
        terms = {"description": order.pop("description")}
        made = services.request_approval(
            **self._asked(order, "approvals.request_approval"),
            subject_id=order.get("subject_id") or uuid7(),
            title=order["title"],
            terms=terms,
            comment=order["comment"],
        )
        return self.reply(made, created=True)

    @extend_schema(request=serializers.RequestProcess, responses=serializers.RequestRead)
    @action(detail=True, methods=["post"])
    def process(self, request, request_id):
        """Approve or reject what was shown, comment, or have somebody else asked."""
        order = self.parse(serializers.RequestProcess)
        subject = self.get_object()
        terms = {"actor": self.actor, "request_id": subject.pk, "comment": order["comment"]}
        chosen, version = order["action"], self.expected_version()
        if chosen in DECISIONS:
            require_signed_in_lately(request)
            services.decide_request(
                **terms, decision=chosen, digest=order["digest"], at=timezone.now(), version=version
            )
        elif chosen == ActionKind.COMMENT:
            services.comment_on_request(**terms)
        elif chosen == ActionKind.DELEGATE:
            services.delegate_request(**terms, to_id=order["to"].pk, at=timezone.now(), version=version)
        else:
            require(request.user, REASSIGN, subject)
            services.reassign_request(
                **terms, from_id=order["from_approver"], to_id=order["to"].pk, version=version
            )
        return self.reply(subject)

    @extend_schema(request=serializers.BulkApprove, responses=serializers.BulkOutcome)
    @action(detail=False, methods=["post"], url_path="bulk-approve")
    def bulk_approve(self, request):
        """Approve up to 100 requests, each on its own: a refusal holds up no other."""
        order = self.parse(serializers.BulkApprove)
        require_signed_in_lately(request)
        items = [(item["request"], item["digest"]) for item in order["items"]]
        seen = set(self.get_queryset().filter(pk__in=[pk for pk, _ in items]).values_list("pk", flat=True))
        results = services.bulk_approve(
            actor=self.actor,
            items=[(pk if pk in seen else uuid7(), digest) for pk, digest in items],
            at=timezone.now(),
            comment=order["comment"],
        )
        told = [_told(pk, result) for (pk, _), result in zip(items, results, strict=True)]
        return Response(serializers.BulkOutcome({"results": told}).data)

    @extend_schema(request=serializers.Explained, responses=serializers.RequestRead)
    @action(detail=True, methods=["post"], url_path="comments")
    def comment(self, request, request_id):
        """Say something that stays with the request."""
        order = self.parse(serializers.Explained)
        subject = services.comment_on_request(
            actor=self.actor, request_id=self.get_object().pk, comment=order["comment"]
        )
        return self.reply(subject)

    @extend_schema(request=serializers.Explained, responses=serializers.RequestRead)
    @action(detail=True, methods=["post"])
    def cancel(self, request, request_id):
        """Withdraw a pending request of your own."""
        order = self.parse(serializers.Explained)
        subject = services.cancel_request(
            actor=self.actor,
            request_id=self.get_object().pk,
            comment=order["comment"],
            version=self.expected_version(),
        )
        return self.reply(subject)

    @extend_schema(request=serializers.RequestSimulate, responses=serializers.RouteSimulationRead)
    @action(detail=False, methods=["post"])
    def simulate(self, request):
        """Who would be asked, by the rules of now or also with a proposed one in force. Nothing is kept."""
        order = self.parse(serializers.RequestSimulate)
        requester = order.get("requester")
        asked = self._asked(order, queries.VIEW_RULE) | {"requester_id": requester and requester.pk}
        if "proposed_rule" not in order:
            now, then = Outlook(route=services.preview_route(**asked)), None
        else:
            rule = self._proposed(order["proposed_rule"])
            compared = services.preview_proposal(**asked, proposed_rule_id=rule.pk)
            now, then = compared.now, compared.if_confirmed
        told = {"route": now.route, "refusal": now.refusal, "if_confirmed": then}
        return Response(serializers.RouteSimulationRead(told).data)

    def _proposed(self, rule_id) -> ApprovalRule:
        rule = queries.rules_to_confirm(self.request.user).filter(pk=rule_id).first()
        if rule is None:
            raise ValidationError({"proposed_rule": ["There is no rule with an open proposal of this id."]})
        return rule

    def _asked(self, order: dict, permission: str) -> dict:
        entity, department = order["entity"], order.get("department")
        if department and department.entity_id != entity.pk:
            raise ValidationError({"department": ["It is not a department of the entity."]})
        require(self.request.user, permission, department or entity)
        beneficiary = order.get("beneficiary")
        return {
            "actor": self.actor,
            "kind": order.get("kind", GENERAL),
            "entity_id": entity.pk,
            "department_id": department and department.pk,
            "gl_code": order["gl_code"],
            "amount": order["amount"],
            "currency": order["currency"],
            "fields": order.get("custom_fields"),
            "beneficiary_id": beneficiary and beneficiary.pk,
            "at": timezone.now(),
        }


def _told(pk, result: Decided) -> dict:
    """Requests of others are requests that do not exist."""
    error = result.refusal
    if error is None:
        return {"request": pk, "state": result.request.state, "error": None}
    detail = "There is no such request." if isinstance(error, NotFound) else error.detail
    return {
        "request": pk,
        "state": None,
        "error": {"code": error.code, "status": error.status, "detail": detail},
    }


class DelegationFilter(filters.FilterSet):
    delegator = filters.UUIDFilter(field_name="delegator_id")
    delegate = filters.UUIDFilter(field_name="delegate_id")
    live = filters.BooleanFilter(method="by_live")

    class Meta:
        model = ApprovalDelegation
        fields = ()

    def by_live(self, queryset, name, value):
        live = queries.live_delegations(as_of=timezone.now().date()).order_by().values("pk")
        return queryset.filter(pk__in=live) if value else queryset.exclude(pk__in=live)


class DelegationViewSet(ServiceViewSet):
    """Who decides in whose place: your own, and for controllers and auditors those of people within reach."""

    serializer_class = serializers.DelegationRead
    filterset_class = DelegationFilter
    lookup_url_kwarg = "delegation_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    action_permissions = {
        "list": queries.VIEW_DELEGATION,
        "retrieve": queries.VIEW_DELEGATION,
        "create": "approvals.delegate_approvals",
        "revoke": "approvals.delegate_approvals",
    }

    def get_queryset(self):
        return queries.delegations_for(self.request.user)

    def check_object_permissions(self, request, obj):
        """A delegation is of two people, not of an entity: the queryset says whose."""

    @extend_schema(request=serializers.DelegationCreate, responses={201: serializers.DelegationRead})
    def create(self, request):
        """Let somebody decide in your place while you are away; you may go on deciding yourself."""
        order = self.parse(serializers.DelegationCreate)
        delegation = services.delegate_approvals(
            actor=self.actor, delegate_id=order.pop("delegate").pk, as_of=timezone.now().date(), **order
        )
        return self.reply(delegation, created=True)

    @extend_schema(request=NoInput, responses=serializers.DelegationRead)
    @action(detail=True, methods=["post"])
    def revoke(self, request, delegation_id):
        """Take it back at once. Doing it again changes nothing."""
        self.parse(NoInput)
        delegation = services.revoke_delegation(actor=self.actor, delegation_id=self.get_object().pk)
        return self.reply(delegation)
