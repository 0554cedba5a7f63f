from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError

from billing.access.api.permissions import require
from billing.dunning import queries, services
from billing.dunning.api import filters, serializers
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.invoicing.queries import VIEW_INVOICE, invoices_for
from billing.kernel.api.viewsets import ServiceViewSet


class DunningPolicyViewSet(ActingPermission, ServiceViewSet):
    """Dunning policies of sellers: what is done how many days after the due day."""

    serializer_class = serializers.DunningPolicyRead
    filterset_class = filters.DunningPolicyFilter
    lookup_url_kwarg = "policy_id"
    ordering_fields = ("created_at", "code", "revision")
    search_fields = ("code", "name", "entity_class")
    action_permissions = {
        "list": queries.VIEW_POLICY,
        "retrieve": queries.VIEW_POLICY,
        "create": "dunning.create_policy",
        "revise": "dunning.create_policy",
        "activate": "dunning.activate_policy",
        "retire": "dunning.retire_policy",
    }

    def get_queryset(self):
        return seen_or_done(queries.policies_for, self, queries.VIEW_POLICY)

    def create(self, request):
        """A draft: nobody is reminded by it until it is activated."""
        order = self.parse(serializers.DunningPolicyCreate)
        seller = order.pop("seller")
        require(request.user, "dunning.create_policy", seller)
        policy = services.create_policy(actor=self.actor, seller_id=seller.pk, **order)
        return self.reply(policy, created=True)

    @action(detail=True, methods=["post"])
    def revise(self, request, policy_id):
        """Draft the next revision: all of it is given anew. The active one stays until this is activated."""
        order = self.parse(serializers.DunningPolicyRevise)
        policy = services.revise_policy(
            actor=self.actor, policy_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(policy, created=True)

    @action(detail=True, methods=["post"])
    def activate(self, request, policy_id):
        """Cases are opened by it from now on; the former active revision of its code is retired."""
        policy = services.activate_policy(
            actor=self.actor, policy_id=self.get_object().pk, version=self.expected_version()
        )
        return self.reply(policy)

    @action(detail=True, methods=["post"])
    def retire(self, request, policy_id):
        """No case is opened by it any more; open ones are finished by it."""
        order = self.parse(serializers.DunningReason)
        policy = services.retire_policy(
            actor=self.actor, policy_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(policy)


class DunningAssignmentViewSet(ActingPermission, ServiceViewSet):
    """Which policy a customer and all below it go by, from a day until another."""

    serializer_class = serializers.DunningAssignmentRead
    filterset_class = filters.DunningAssignmentFilter
    lookup_url_kwarg = "assignment_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    search_fields = ("customer__name", "customer__code", "policy__code")
    action_permissions = {
        "list": queries.VIEW_ASSIGNMENT,
        "retrieve": queries.VIEW_ASSIGNMENT,
        "create": "dunning.assign_policy",
        "end": "dunning.end_assignment",
    }

    def get_queryset(self):
        return seen_or_done(queries.assignments_for, self, queries.VIEW_ASSIGNMENT)

    def create(self, request):
        order = self.parse(serializers.DunningAssignmentCreate)
        customer = order.pop("customer")
        require(request.user, "dunning.assign_policy", customer)
        policies = seen_or_done(queries.policies_for, self, queries.VIEW_POLICY)
        policy = policies.filter(pk=order.pop("policy")).first()
        if policy is None:
            raise ValidationError({"policy": ["There is no such object."]})
        assignment = services.assign_policy(
            actor=self.actor, customer_id=customer.pk, policy_id=policy.pk, **order
        )
        return self.reply(assignment, created=True)

    @action(detail=True, methods=["post"])
    def end(self, request, assignment_id):
        """It ends on a day before the one on which it would."""
        order = self.parse(serializers.DunningAssignmentEnd)
        assignment = services.end_assignment(
            actor=self.actor,
            assignment_id=self.get_object().pk,
            version=self.expected_version(),
            **order,
        )
        return self.reply(assignment)


class DunningCaseViewSet(ServiceViewSet):
    """The dunning of an invoice: open, handed over to collection, or closed."""

    serializer_class = serializers.DunningCaseRead
    filterset_class = filters.DunningCaseFilter
    lookup_url_kwarg = "case_id"
    ordering_fields = ("created_at", "opened_on", "closed_on")
    search_fields = ("invoice__number", "customer__name", "customer__code")
    action_permissions = {"list": queries.VIEW_CASE, "retrieve": queries.VIEW_CASE}

    def get_queryset(self):
        return queries.cases_for(self.request.user)


class DunningNoticeViewSet(ServiceViewSet):
    """Steps that were taken for invoices, or passed over, each with what was asked for."""

    serializer_class = serializers.DunningNoticeRead
    filterset_class = filters.DunningNoticeFilter
    lookup_url_kwarg = "notice_id"
    ordering_fields = ("created_at", "noticed_on")
    search_fields = ("invoice__number", "customer__name", "customer__code")
    action_permissions = {"list": queries.VIEW_NOTICE, "retrieve": queries.VIEW_NOTICE}

    def get_queryset(self):
        return queries.notices_for(self.request.user)


class DunningPauseViewSet(ActingPermission, ServiceViewSet):
    """Pauses of the dunning of invoices, or of a part of them: disputes, promises to pay."""

    serializer_class = serializers.DunningPauseRead
    filterset_class = filters.DunningPauseFilter
    lookup_url_kwarg = "pause_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    search_fields = ("invoice__number", "customer__name", "customer__code", "reason")
    action_permissions = {
        "list": queries.VIEW_PAUSE,
        "retrieve": queries.VIEW_PAUSE,
        "create": "dunning.pause_dunning",
        "end": "dunning.resume_dunning",
    }

    def get_queryset(self):
        return seen_or_done(queries.pauses_for, self, queries.VIEW_PAUSE)

    def create(self, request):
        """It begins today, where the seller is. The rest of the invoice is still asked for."""
        order = self.parse(serializers.DunningPauseCreate)
        seen = seen_or_done(invoices_for, self, VIEW_INVOICE)
        invoice = seen.filter(pk=order.pop("invoice")).first()
        if invoice is None:
            raise ValidationError({"invoice": ["There is no such object."]})
        require(request.user, "dunning.pause_dunning", invoice)
        pause = services.pause_dunning(
            actor=self.actor, invoice_id=invoice.pk, as_of=entities.today_at(invoice.seller), **order
        )
        return self.reply(pause, created=True)

    @action(detail=True, methods=["post"])
    def end(self, request, pause_id):
        """From today, where the seller is, its amount is asked for again."""
        order = self.parse(serializers.DunningReason)
        pause = self.get_object()
        pause = services.resume_dunning(
            actor=self.actor,
            pause_id=pause.pk,
            as_of=entities.today_at(pause.invoice.seller),
            version=self.expected_version(),
            **order,
        )
        return self.reply(pause)


class LateFeeViewSet(ActingPermission, ServiceViewSet):
    """Late fees and interest found due, with how they came about; to be billed, or waived."""

    serializer_class = serializers.LateFeeRead
    filterset_class = filters.LateFeeFilter
    lookup_url_kwarg = "fee_id"
    ordering_fields = ("created_at", "charged_on", "amount")
    search_fields = ("invoice__number", "customer__name", "customer__code")
    action_permissions = {
        "list": queries.VIEW_FEE,
        "retrieve": queries.VIEW_FEE,
        "waive": "dunning.waive_late_fee",
    }

    def get_queryset(self):
        return seen_or_done(queries.fees_for, self, queries.VIEW_FEE)

    @action(detail=True, methods=["post"])
    def waive(self, request, fee_id):
        """It will not be billed."""
        order = self.parse(serializers.DunningReason)
        fee = services.waive_late_fee(
            actor=self.actor, fee_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(fee)
