"""The console's base class, and the kernel's own pages: audit trail, outbox, jobs."""

import json
from collections.abc import Iterable
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Choices, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.decorators import display

from billing.kernel.adminverbs import AdminVerb, ReasonForm, VerbsMixin, actor_of
from billing.kernel.delivery import retry_delivery
from billing.kernel.hooks import rows_in_reach
from billing.kernel.models import (
    AuditEntry,
    AuditSeal,
    DeliveryState,
    EventDelivery,
    Job,
    JobState,
    OutboxEvent,
)

HISTORY_PER_PAGE = 50


class Labelled(tuple):
    """A state for a column with coloured labels: (value, label) to the list, its label on the object's page."""

    def __new__(cls, state: str, choices: type[Choices]) -> "Labelled":
        return super().__new__(cls, (state, choices(state).label))

    def __str__(self) -> str:
        return str(self[1])


class ReadOnlyAdmin(VerbsMixin, ModelAdmin):
    """Look at everything, change nothing but by a verb. Admins of what belongs to entities override `scope`."""

    list_fullwidth = True
    list_filter_submit = True
    list_per_page = 50
    show_full_result_count = False  # counting a whole table for one line of text
    empty_hint = ""  # what to do next when there is nothing yet

    def scope(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """The rows this person may see."""
        return queryset

    def get_queryset(self, request):
        return self.scope(request, super().get_queryset(request))

    def has_add_permission(self, request, *args):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def history_view(self, request: HttpRequest, object_id: str, extra_context=None) -> HttpResponse:
        """The audit trail of the object: who did what, when, from where, and which fields changed."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        trail = AuditEntry.objects.filter(subject_type=self.opts.db_table, subject_id=str(obj.pk))
        page = Paginator(trail.order_by("-id"), HISTORY_PER_PAGE).get_page(request.GET.get("page"))
        names = names_of_actors({entry.actor for entry in page})
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "opts": self.opts,
            "original": obj,
            "page": page,
            "lines": [
                {"entry": entry, "who": names.get(entry.actor, entry.actor), "changes": changes_of(entry)}
                for entry in page
            ],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/audit_history.html", context)


class EntityRowsAdmin(ReadOnlyAdmin):
    """Rows that name their entity by id. Nobody's, as long as no app says who reaches which entity."""

    entity_id = "entity_id"

    def scope(self, request, queryset):
        verb = f"{self.opts.app_label}.view_{self.opts.model_name}"
        for within_reach in rows_in_reach:
            queryset = within_reach(queryset, request.user, verb, self.entity_id)
        return queryset if rows_in_reach else queryset.none()


def names_of_actors(actors: set[str]) -> dict[str, str]:
    """The names of those actors that are people or service accounts."""
    ids = {}
    for actor in actors:
        kind, _, key = actor.partition(":")
        try:
            ids[actor] = UUID(key) if kind == "user" else None
        except ValueError:
            continue
    people = get_user_model()._default_manager.in_bulk([pk for pk in ids.values() if pk])
    return {actor: str(people[pk]) for actor, pk in ids.items() if pk in people}


def _named(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    entries = list(entries)
    names = names_of_actors({entry.actor for entry in entries})
    for entry in entries:
        entry.who = names.get(entry.actor, entry.actor)
    return entries


def changes_of(entry: AuditEntry) -> list[tuple[str, object, object]]:
    """(column, before, after) for each column the line tells of."""
    before, after = entry.before or {}, entry.after or {}
    return [(name, before.get(name, ""), after.get(name, "")) for name in sorted({*before, *after})]


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
    verbs = (
        AdminVerb(
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
