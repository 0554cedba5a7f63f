"""The console's pages of people, service accounts and their keys."""

from datetime import timedelta

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.utils import timezone
from unfold.decorators import display

from billing.access import queries, services
from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import ApiKey, User
from billing.access.permissions import scopes
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm

if admin.site.is_registered(Group):
    admin.site.unregister(Group)  # what people may do is granted, not grouped


class KeyForm(forms.Form):
    name = forms.CharField(max_length=100)
    scopes = forms.MultipleChoiceField(choices=lambda: [(scope, scope) for scope in scopes()])
    days = forms.IntegerField(min_value=1, max_value=366, initial=90)


def _create_key(request, account, *, name, scopes, days):
    _, text = services.create_key(
        actor=actor_of(request),
        user_id=account.pk,
        name=name,
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days),
    )
    messages.warning(request, f"The key, shown this once: {text}")


class UserForm(ScopedForm):
    password = forms.CharField(
        widget=forms.PasswordInput, required=False, help_text="For a person: 12 characters or more."
    )
    owner_email = forms.EmailField(
        required=False, help_text="For a service account: the person who answers for it."
    )

    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(CreatesByService, ReadOnlyAdmin):
    creates = "access.create_user"
    create_form = UserForm
    list_display = ("email", "name", "kind", "owner", "is_active", "last_login")
    list_filter = ("kind", "is_active")
    list_select_related = ("owner",)
    search_fields = ("email", "name")
    ordering = ("email",)
    fields = (
        "email",
        "name",
        "kind",
        "owner",
        "is_active",
        "language",
        "time_zone",
        "last_login",
        "created_at",
    )
    readonly_fields = ("created_at",)
    console_actions = (
        ConsoleAction(
            name="deactivate",
            description="Deactivate…",
            effect="No sign-in and no keys any more, also for service accounts this person owns.",
            permission="access.deactivate_user",
            run=lambda request, user, reason: services.deactivate_user(
                actor=actor_of(request), user_id=user.pk, reason=reason
            ),
            form=ReasonForm,
            icon="person_off",
            danger=True,
            applies=lambda user: user.is_active,
        ),
        ConsoleAction(
            name="create_key",
            description="Create key…",
            effect="A new key for this service account. It is shown once.",
            permission="access.create_key",
            run=_create_key,
            form=KeyForm,
            icon="key",
            applies=lambda user: user.kind == "service" and user.is_active,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.accounts_for(request.user).values("pk"))

    def create(self, request, given):
        actor, email, name = actor_of(request), given["email"], given["name"]
        if not given["owner_email"]:
            return services.create_user(actor=actor, email=email, name=name, password=given["password"])
        owner = queries.accounts_for(request.user).filter(email=given["owner_email"].lower()).first()
        return services.create_service_account(
            actor=actor, email=email, name=name, owner_id=owner.pk if owner else None
        )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "prefix", "shown_scopes", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__email")
    ordering = ("-created_at",)
    fields = (
        *("name", "user", "prefix", "shown_scopes", "allowed_networks"),
        *("expires_at", "revoked_at", "last_used_at", "last_used_ip", "created_at"),
    )
    readonly_fields = ("shown_scopes", "created_at")
    console_actions = (
        ConsoleAction(
            name="revoke",
            description="Revoke…",
            effect="The key is refused from now on.",
            permission="access.revoke_key",
            run=lambda request, key, reason: services.revoke_key(
                actor=actor_of(request), key_id=key.pk, reason=reason
            ),
            form=ReasonForm,
            icon="key_off",
            danger=True,
            applies=lambda key: key.revoked_at is None,
        ),
    )

    def scope(self, request, queryset):
        return queryset.filter(pk__in=queries.keys_for(request.user).values("pk"))

    @display(description="Scopes")
    def shown_scopes(self, key):
        return ", ".join(key.scopes)
