"""The kernel's own pages: audit trail, outbox, jobs."""

import json
from collections.abc import Iterable

from django.contrib import admin
from unfold.decorators import display

from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import EntityRowsAdmin, Labelled, ReadOnlyAdmin, names_of_actors
from billing.kernel.console.forms import ReasonForm
from billing.kernel.delivery import retry_delivery
from billing.kernel.models import (
    AuditEntry,
    AuditSeal,
    DeliveryState,
    EventDelivery,
    Job,
    JobState,
    OutboxEvent,
)


def _named(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    entries = list(entries)
    names = names_of_actors({entry.actor for entry in entries})
    for entry in entries:
        entry.who = names.get(entry.actor, entry.actor)
    return entries


@admin.register(AuditEntry)
class AuditEntryAdmin(EntityRowsAdmin):
    list_display = ("at", "who", "action", "subject_type", "subject_id", "reason", "seal")
    list_filter = ("kind", "action", "subject_type", "at")
    search_fields = ("subject_id", "actor", "request_id", "action")
    search_help_text = "Subject id, actor, request id or action"
    ordering = ("-id",)
    show_full_result_count = False
    fields = (
        *("at", "kind", "action", "who", "actor", "request_id", "ip", "reason"),
        *("subject_type", "subject_id", "entity_id", "shown_before", "shown_after", "shown_detail", "seal"),
    )
    readonly_fields = ("who", "shown_before", "shown_after", "shown_detail")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("seal")

    def get_changelist_instance(self, request):
        """The page's lines with the names of those who acted: two queries, however many lines."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = _named(changelist.result_list)
        return changelist

    def get_object(self, request, object_id, from_field=None):
        found = super().get_object(request, object_id, from_field)
        return found and _named([found])[0]

    @display(description="Who", ordering="actor")
    def who(self, entry):
        return entry.who

    @display(description="Before")
    def shown_before(self, entry):
        return _pretty(entry.before)

    @display(description="After")
    def shown_after(self, entry):
        return _pretty(entry.after)

    @display(description="Detail")
    def shown_detail(self, entry):
        return _pretty(entry.detail)


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    list_display = ("number", "entry_count", "digest", "sealed_at")
    ordering = ("-number",)


@admin.register(OutboxEvent)
class OutboxEventAdmin(EntityRowsAdmin):
    list_display = ("occurred_at", "name", "entity_id", "id")
    list_filter = ("name", "occurred_at")
    search_fields = ("id", "entity_id")
    ordering = ("-id",)


def _retry(request, delivery, *, reason):
    retry_delivery(delivery_id=delivery.pk, actor=actor_of(request), reason=reason)


@admin.register(EventDelivery)
class EventDeliveryAdmin(EntityRowsAdmin):
    entity_id = "event__entity_id"
    list_display = ("created_at", "event", "subscriber", "shown_state", "attempts", "due_at", "last_error")
    list_filter = ("state", "subscriber", "created_at")
    list_select_related = ("event",)
    search_fields = ("event__id", "last_error")
    ordering = ("-id",)
    console_actions = (
        ConsoleAction(
            name="retry",
            description="Retry…",
            effect="The event is handed to its subscriber again, with all attempts anew.",
            permission="kernel.retry_delivery",
            run=_retry,
            form=ReasonForm,
            icon="replay",
            applies=lambda delivery: delivery.state == DeliveryState.DEAD,
        ),
    )

    @display(
        description="State",
        ordering="state",
        label={"pending": "info", "delivered": "success", "dead": "danger"},
    )
    def shown_state(self, delivery):
        return Labelled(delivery.state, DeliveryState)


@admin.register(Job)
class JobAdmin(EntityRowsAdmin):
    list_display = (
        "created_at",
        "kind",
        "shown_state",
        "shown_progress",
        "requested_by",
        "attempts",
        "finished_at",
    )
    list_filter = ("state", "kind", "created_at")
    search_fields = ("id", "entity_id", "requested_by")
    ordering = ("-id",)

    @display(
        description="State",
        ordering="state",
        label={"queued": "info", "running": "warning", "succeeded": "success", "failed": "danger"},
    )
    def shown_state(self, job):
        return Labelled(job.state, JobState)

    @display(description="Progress")
    def shown_progress(self, job):
        return f"{job.done} of {job.total}" if job.total else job.done or "–"


def _pretty(value: object) -> str:
    return "–" if value in (None, {}) else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
