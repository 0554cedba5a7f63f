"""The base classes of every page: read-only lists and objects, with the audit trail as their history."""

from uuid import UUID

from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Choices, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from billing.kernel.console.actions import ConsoleActionsMixin
from billing.kernel.console.form_pages import FormPagesMixin
from billing.kernel.hooks import rows_in_reach
from billing.kernel.models import AuditEntry

HISTORY_PER_PAGE = 50


class Labelled(tuple):
    """A state for a column with coloured labels: (value, label) to the list, its label on the object's page."""

    def __new__(cls, state: str, choices: type[Choices]) -> "Labelled":
        return super().__new__(cls, (state, choices(state).label))

    def __str__(self) -> str:
        return str(self[1])


class ReadOnlyAdmin(ConsoleActionsMixin, FormPagesMixin, ModelAdmin):
    """Look at everything, change nothing but by an action. Admins of what belongs to entities override `scope`."""

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
        permission = f"{self.opts.app_label}.view_{self.opts.model_name}"
        for within_reach in rows_in_reach:
            queryset = within_reach(queryset, request.user, permission, self.entity_id)
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


def changes_of(entry: AuditEntry) -> list[tuple[str, object, object]]:
    """(column, before, after) for each column the line tells of."""
    before, after = entry.before or {}, entry.after or {}
    return [(name, before.get(name, ""), after.get(name, "")) for name in sorted({*before, *after})]
