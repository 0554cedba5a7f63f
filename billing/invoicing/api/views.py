"""Invoices, their proof and their story; billing runs; tax rates."""

from django.db.models import Prefetch
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.documents.api import PDF, PdfRenderer, pdf_response
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.api import serializers
from billing.invoicing.api.filters import InvoiceFilter, RunFilter, TaxRateFilter
from billing.invoicing.billing_runs.queries import figures_of
from billing.invoicing.drafting.api import OneOffInvoices
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.models import BillingRunItem, InvoiceLine, TaxRate
from billing.invoicing.states import RunItemState
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.api import expansion
from billing.kernel.api.viewsets import ServiceViewSet


class InvoiceViewSet(OneOffInvoices, ActingPermission, ServiceViewSet):
    serializer_class = serializers.InvoiceRead
    filterset_class = InvoiceFilter
    lookup_url_kwarg = "invoice_id"
    ordering_fields = ("created_at", "issued_on", "due_on", "number", "total_amount", "balance_amount")
    search_fields = ("number", "customer__name", "customer__code")
    expandable = {
        "lines": serializers.LineRead,
        "taxes": serializers.TaxRead,
        "allocations": serializers.ShareRead,
    }
    expand_related = {
        "lines": ("prefetch", "lines"),
        "taxes": ("prefetch", "taxes"),
        "allocations": ("prefetch", "allocations"),
    }
    conditional_reads = False  # whether it is overdue changes with the day, not with the version
    idempotency_required_actions = frozenset(
        {"create", "draft", "issue", "void", "rerate", "write_off", "recover"}
    )
    approval_actions = frozenset({"issue", "write_off"})
    action_permissions = {
        "list": "invoicing.view_invoice",
        "retrieve": "invoicing.view_invoice",
        "allocations": "invoicing.view_invoice",
        "timeline": "invoicing.view_invoice",
        "pdf": "invoicing.view_invoice",
        "create": "invoicing.draft_invoice",
        "preview_one_off": "invoicing.draft_invoice",
        "update": "invoicing.draft_invoice",
        "destroy": "invoicing.draft_invoice",
        "draft": "invoicing.draft_invoice",
        "issue": "invoicing.issue_invoice",
        "void": "invoicing.void_invoice",
        "rerate": "invoicing.rerate_invoice",
        "write_off": "invoicing.write_off_invoice",
        "recover": "invoicing.recover_invoice",
    }

    def get_queryset(self):
        invoices = seen_or_done(queries.invoices_for, self, queries.VIEW_INVOICE)
        if "allocations" in expansion.wanted(self.request, "expand"):
            invoices = invoices.prefetch_related("allocations__rule_version__rule")
        return invoices if self.action in {"allocations", "timeline", "pdf"} else queries.with_names(invoices)

    @extend_schema(request=serializers.InvoiceDraft, responses={201: serializers.Drafted})
    @action(detail=False, methods=["post"])
    def draft(self, request):
        order = self.parse(serializers.InvoiceDraft)
        seller, as_of = order["seller"], order["as_of"]
        require_near(as_of, today=entities.today_at(seller))
        drafts = services.draft_invoices(
            actor=self.actor,
            seller_id=seller.pk,
            customer_ids=self._customers(seller, as_of, order.get("customers")),
            as_of=as_of,
        )
        shown = self.get_queryset().filter(pk__in=[draft.pk for draft in drafts]).order_by("pk")
        return Response(serializers.Drafted({"results": shown}).data, status=201)

    @action(detail=True, methods=["post"])
    def issue(self, request, invoice_id):
        order = self.parse(serializers.InvoiceIssue)
        invoice = services.issue_invoice(
            actor=self.actor,
            invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
            **order,
        )
        return self.reply(invoice)

    @action(detail=True, methods=["post"])
    def void(self, request, invoice_id):
        order = self.parse(serializers.InvoiceVoid)
        invoice = services.void_invoice(
            actor=self.actor,
            invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
            **order,
        )
        return self.reply(invoice)

    @extend_schema(request=serializers.InvoiceWriteOff, responses=serializers.InvoiceRead)
    @action(detail=True, methods=["post"], url_path="write-off")
    def write_off(self, request, invoice_id):
        """Give up what is open: it is booked as bad debt and the invoice is uncollectible."""
        order = self.parse(serializers.InvoiceWriteOff)
        invoice = services.write_off_invoice(
            actor=self.actor,
            invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
            **order,
        )
        return self.reply(invoice)

    @extend_schema(request=serializers.InvoiceRecover, responses=serializers.InvoiceRead)
    @action(detail=True, methods=["post"])
    def recover(self, request, invoice_id):
        """A write-off, or a part of it, is open again: the money came after all."""
        order = self.parse(serializers.InvoiceRecover)
        invoice = services.recover_invoice(
            actor=self.actor,
            invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
            **order,
        )
        return self.reply(invoice)

    @extend_schema(request=serializers.InvoiceRerate, responses=serializers.Drafted)
    @action(detail=True, methods=["post"])
    def rerate(self, request, invoice_id):
        """Rate its usage anew: a draft is made anew, an issued invoice voided and drafted anew; not a settled one."""
        order = self.parse(serializers.InvoiceRerate)
        invoice = self.get_object()
        require_near(order["as_of"], today=entities.today_at(invoice.seller))
        drafts = services.rerate_invoice(
            actor=self.actor,
            invoice_id=invoice.pk,
            version=self.expected_version(required=True),
            **order,
        )
        shown = self.get_queryset().filter(pk__in=[draft.pk for draft in drafts]).order_by("pk")
        return Response(serializers.Drafted({"results": shown}).data)

    @extend_schema(responses=serializers.ProofRead)
    @action(detail=True, methods=["get"])
    def allocations(self, request, invoice_id):
        """The proof: every line, its shares, their GL codes and the entries in the books, with their sums."""
        return Response(serializers.ProofRead(proof_of(self.get_object())).data)

    @extend_schema(responses=serializers.Timeline)
    @action(detail=True, methods=["get"])
    def timeline(self, request, invoice_id):
        """Who did what to the invoice, what others were told, and which payments settled it."""
        return Response(serializers.Timeline({"results": timeline_of(self.get_object())}).data)

    @extend_schema(responses={(200, PDF): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], renderer_classes=[*ServiceViewSet.renderer_classes, PdfRenderer])
    def pdf(self, request, invoice_id):
        """The invoice as PDF in its customer's language: made once, always the same bytes. A draft has none (409)."""
        invoice = self.get_object()
        document = services.render_invoice_document(actor=self.actor, invoice_id=invoice.pk)
        return pdf_response(request, document, number=invoice.number)

    def _customers(self, seller, as_of, named):
        """Those named, or everybody who has something due; never anybody out of reach."""
        reachable = entities.entities_for(self.request.user, "invoicing.draft_invoice")
        if named is None:
            due = queries.customers_due(seller_id=seller.pk, as_of=as_of)
            return list(due.filter(pk__in=reachable.values("pk")).values_list("pk", flat=True))
        found = set(reachable.filter(pk__in=named).values_list("pk", flat=True))
        if missing := [pk for pk in named if pk not in found]:
            raise ValidationError({"customers": [f"There is no customer {missing[0]}."]})
        return named


class InvoiceLineViewSet(ServiceViewSet):
    queryset = InvoiceLine.objects.none()  # what the schema looks at
    serializer_class = serializers.LineRead
    ordering = "position"
    action_permissions = {"list": "invoicing.view_invoice"}

    def get_queryset(self):
        invoice = queries.invoices_for(self.request.user).filter(pk=self.kwargs["invoice_id"]).first()
        if invoice is None:
            raise Http404
        return InvoiceLine.objects.filter(invoice=invoice)


class BillingRunViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.RunRead
    filterset_class = RunFilter
    lookup_url_kwarg = "run_id"
    ordering_fields = ("created_at", "as_of", "finished_at")
    conditional_reads = False  # the counts change without the run
    idempotency_required_actions = frozenset({"create", "retry_customer"})
    action_permissions = {
        "list": "invoicing.view_billingrun",
        "retrieve": "invoicing.view_billingrun",
        "create": "invoicing.run_billing",
        "retry_customer": "invoicing.run_billing",
    }

    @property
    def idempotency_separate_transaction(self) -> bool:
        """A customer that is refused again keeps the new reason, so that is committed before the refusal is told."""
        return self.action == "retry_customer"

    def get_queryset(self):
        runs = seen_or_done(queries.runs_for, self, queries.VIEW_RUN)
        if self.action == "retrieve":
            failed = BillingRunItem.objects.filter(state=RunItemState.FAILED).select_related("customer")
            runs = runs.prefetch_related(
                Prefetch("items", failed.order_by("customer__code"), to_attr="failed_items")
            )
        return runs

    def get_serializer_class(self):
        return serializers.RunDetail if self.action == "retrieve" else serializers.RunRead

    @extend_schema(request=serializers.RunStart, responses={202: serializers.RunQueued})
    def create(self, request):
        order = self.parse(serializers.RunStart)
        require(request.user, "invoicing.run_billing", order["seller"])
        require_near(order["as_of"], today=entities.today_at(order["seller"]))
        run, jobs = services.queue_billing_run(
            actor=self.actor, seller_id=order["seller"].pk, as_of=order["as_of"]
        )
        figures = figures_of(run)
        return self.accepted(
            jobs[0], run=str(run.pk), customers_pending=figures.pending, message=figures.message
        )

    @action(detail=True, methods=["post"], url_path="retry-customer")
    def retry_customer(self, request, run_id):
        """Bill one customer that failed in the run, once its cause is put right, as of the run's day."""
        order = self.parse(serializers.RunRetry)
        run = services.retry_customer(actor=self.actor, run_id=self.get_object().pk, **order)
        return self.reply(run)


class TaxRateViewSet(ServiceViewSet):
    """Tax rates are the same for everybody."""

    serializer_class = serializers.TaxRateRead
    filterset_class = TaxRateFilter
    lookup_url_kwarg = "rate_id"
    ordering = ("country", "category", "starts_on")
    ordering_fields = ("starts_on", "country")
    action_permissions = {"list": "invoicing.view_taxrate", "create": "invoicing.create_tax_rate"}

    def get_queryset(self):
        return TaxRate.objects.all()

    def create(self, request):
        rate = services.add_tax_rate(actor=self.actor, **self.parse(serializers.TaxRateCreate))
        return self.reply(rate, created=True)
