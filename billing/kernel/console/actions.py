"""Operations in the console: a button on the object's page and an action on the list, both with a page
that says what will happen and asks for a confirmation. The work is one service call per object."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant

from billing.kernel.approval import ApprovalRequired, file_approval_requests, proposals_of
from billing.kernel.console.forms import Seen, previewed, styled
from billing.kernel.errors import DomainError
from billing.kernel.idempotency_keys import claim_once
from billing.kernel.retrying import retrying

OBJECTS_MAX = 200
COMMENT_MAX = 1000


@dataclass(frozen=True, kw_only=True)
class ConsoleAction:
    """`run(request, obj, **cleaned)` calls one service. `effect` says in whole sentences what it does.

    With a `preview` nobody confirms what they have not seen: `preview(request, obj, **cleaned)` computes the
    tables that are shown first, and what would come out differently by then is shown anew instead of done.

    With a `page` the object's button leads there, `page(model_admin, request, obj)`, instead of to the
    question; a list has no such action, as the page is about one object.
    One `of_one` object fills in what is to change of it: a list has no such action either.
    `asks` is the permission to request approval for it. What needs approval is then asked for from the same page, also
    by those who may not do it themselves.
    """

    name: str
    description: str
    effect: str
    permission: str
    run: Callable[..., object]
    asks: str = ""
    form: type[forms.Form] = forms.Form
    prepare: Callable[[forms.Form, list], None] = lambda form, objects: None  # choices that depend on them
    preview: Callable[..., list] | None = None
    preview_label: str = "Show what it charges"
    icon: str = "play_arrow"
    danger: bool = False
    page: Callable[..., HttpResponse] | None = None
    of_one: bool = False
    applies: Callable[[models.Model], bool] = lambda obj: True  # hides a button that could only be refused

    @property
    def method_name(self) -> str:
        return f"action_{self.name}"


def actor_of(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"


class ConsoleActionsMixin:
    """For a ModelAdmin: `console_actions = (ConsoleAction(...), …)`."""

    console_actions: tuple[ConsoleAction, ...] = ()

    def __init__(self, model, admin_site):
        for action in self.console_actions:
            setattr(self, action.method_name, self._button(action))
        self.actions_detail = (*self.actions_detail, *(action.method_name for action in self.console_actions))
        super().__init__(model, admin_site)

    def _button(self, action: ConsoleAction) -> Callable:
        """What unfold expects of a method that stands behind a button and its address."""

        def page(request: HttpRequest, object_id: str) -> HttpResponse:
            return self._object_page(action, request, unquote(object_id))

        page.short_description, page.icon, page.url_path = action.description, action.icon, action.name
        page.attrs = {}
        page.variant = ActionVariant.DANGER if action.danger else ActionVariant.DEFAULT
        page.__name__ = action.method_name
        return page

    def get_actions_detail(self, request, object_id):
        """Only the buttons this person may press on this object in its present state."""
        obj = self.get_object(request, unquote(str(object_id)))
        names = f"{self.opts.app_label}_{self.opts.model_name}"
        hidden = {
            f"{names}_{action.method_name}"
            for action in self.console_actions
            if obj is None or not self._may_press(request, action, obj) or not action.applies(obj)
        }
        return [a for a in super().get_actions_detail(request, object_id) if a.action_name not in hidden]

    def get_actions(self, request):
        actions = super().get_actions(request)
        for action in self.console_actions:
            if not (action.page or action.of_one) and (
                request.user.has_perm(action.permission)
                or (action.asks and request.user.has_perm(action.asks))
            ):
                actions[action.method_name] = (
                    partial(self._list_page, action),
                    action.method_name,
                    action.description,
                )
        return actions

    def described(self, obj: models.Model) -> str:
        """What a confirmation says of an object; admins of money add the amount."""
        return str(obj)

    def may(self, request: HttpRequest, action: ConsoleAction, obj: models.Model) -> bool:
        return request.user.has_perm(action.permission, obj)

    def may_ask(self, request: HttpRequest, action: ConsoleAction, obj: models.Model) -> bool:
        return bool(action.asks) and request.user.has_perm(action.asks, obj)

    def _may_press(self, request: HttpRequest, action: ConsoleAction, obj: models.Model) -> bool:
        return self.may(request, action, obj) or self.may_ask(request, action, obj)

    def _object_page(self, action: ConsoleAction, request: HttpRequest, object_id: str) -> HttpResponse:
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        if action.page is not None:
            if not self.may(request, action, obj):
                raise PermissionDenied
            return action.page(self, request, obj)
        view = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        here = reverse(view, args=[obj.pk])
        return self._page(action, request, [obj], back=here) or HttpResponseRedirect(here)

    @staticmethod
    def _list_page(action: ConsoleAction, model_admin, request: HttpRequest, queryset) -> HttpResponse | None:
        chosen = list(queryset[: OBJECTS_MAX + 1])
        if len(chosen) > OBJECTS_MAX:
            model_admin.message_user(request, f"Choose at most {OBJECTS_MAX} at a time.", messages.ERROR)
            return None
        return model_admin._page(action, request, chosen, back=request.get_full_path())

    def _page(
        self, action: ConsoleAction, request: HttpRequest, objects: list, *, back: str
    ) -> HttpResponse | None:
        """The question; None once it was answered with yes and everything is done, or asked for."""
        allowed = [obj for obj in objects if self.may(request, action, obj)]
        only_asks = not allowed
        allowed = allowed or [obj for obj in objects if self.may_ask(request, action, obj)]
        if not allowed:
            raise PermissionDenied
        refused = [obj for obj in objects if obj not in allowed]
        answer = next((each for each in ("ask", "confirm", "preview") if each in request.POST), "")
        form = action.form(request.POST if answer else None)
        action.prepare(form, allowed)
        seen = (
            previewed(form, partial(_tables, action, request, allowed)) if answer and action.preview else None
        )
        needing: dict = {}
        once = request.POST.get("once")
        if (
            answer in {"ask", "confirm"}
            and form.is_valid()
            and (not action.preview or self.agreed(request, seen))
        ):
            if answer == "ask":
                self._ask(action, request, allowed, form=form)
                return None
            if not only_asks:
                needing = self._carry_out(action, request, allowed, refused=refused, form=form)
                if not needing and form.is_valid():
                    return None
                once = None  # that one is used up
        shown = list(needing) or allowed
        context = {
            **self.admin_site.each_context(request),
            "title": action.description,
            "opts": self.opts,
            "action": action,
            "heading": action.description.rstrip("…"),
            "form": styled(form),
            "has_preview": action.preview is not None,
            "seen": seen,
            "preview_variant": "default" if seen else "primary",
            "objects": [(obj.pk, self.described(obj)) for obj in shown],
            "needing": list(needing.values()),
            "asks": only_asks or bool(needing),
            "comment": request.POST.get("approval_comment", ""),
            "selected_name": ACTION_CHECKBOX_NAME,
            "once": once or uuid4().hex,
            "back": back,
        }
        return TemplateResponse(request, "admin/confirmation.html", context)

    def agreed(self, request: HttpRequest, seen: Seen | None) -> bool:
        """Whether what would happen now is what was shown."""
        if seen is None:
            return False
        if seen.seal != request.POST.get("seen"):
            self.message_user(request, "Look again: this is not what you saw before.", messages.WARNING)
            return False
        return True

    def _carry_out(
        self,
        action: ConsoleAction,
        request: HttpRequest,
        objects: Iterable,
        *,
        refused: list,
        form: forms.Form,
    ) -> dict[models.Model, str]:
        """Once per page shown: a second click on the same button finds its work done. Answers with what needs
        approval that this person may ask for, and why. What is refused to one object is told on its form."""
        needing: dict[models.Model, str] = {}
        if not self._first_click(action, request):
            return needing
        for obj in refused:
            self.message_user(request, f"{obj}: you may not do this here.", messages.ERROR)
        for obj in objects:
            try:
                retrying(action.run)(request, obj, **form.cleaned_data)
            except DomainError as error:
                if isinstance(error, ApprovalRequired) and self.may_ask(request, action, obj):
                    needing[obj] = error.detail
                elif form.fields and len(objects) == 1 and not refused:
                    form.add_error(None, error.detail)
                else:
                    self.message_user(request, f"{obj}: {error.detail}", messages.ERROR)
            else:
                self.message_user(
                    request, f"{obj}: {action.description.rstrip('…')}: done.", messages.SUCCESS
                )
        return needing

    def _ask(
        self, action: ConsoleAction, request: HttpRequest, objects: Iterable, *, form: forms.Form
    ) -> None:
        """For approval of exactly what the form says, object by object."""
        if not self._first_click(action, request):
            return
        comment = request.POST.get("approval_comment", "").strip()[:COMMENT_MAX]
        for obj in objects:
            if not self.may_ask(request, action, obj):
                self.message_user(request, f"{obj}: you may not ask for this here.", messages.ERROR)
                continue
            try:
                acts = retrying(proposals_of)(partial(action.run, request, obj, **form.cleaned_data))
                told = [
                    called
                    for act in acts
                    for called in retrying(file_approval_requests)(act, comment=comment)
                ]
            except DomainError as error:
                self.message_user(request, f"{obj}: {error.detail}", messages.ERROR)
                continue
            if not told:
                self.message_user(request, f"{obj}: this needs no approval.", messages.WARNING)
            for called in told:
                done = "It is done by the last approval; follow it under Requests."
                self.message_user(request, f"{called}: asked for. {done}", messages.SUCCESS)

    def _first_click(self, action: ConsoleAction, request: HttpRequest) -> bool:
        key = f"admin:{action.name}:{request.POST.get('once', '')}"[:255]
        if claim_once(principal=actor_of(request), key=key, route=request.path[:255]):
            return True
        self.message_user(request, "This was confirmed before; nothing was done twice.", messages.WARNING)
        return False


def _tables(action: ConsoleAction, request: HttpRequest, objects: list, given: Mapping) -> list:
    return [table for obj in objects for table in action.preview(request, obj, **given)]
