"""The console's pages of entities, departments and role grants: read within reach, changed by actions."""

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import TabularInline
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.access.roles import Role, in_conflict
from billing.entities import queries, services
from billing.entities.console.entity_changes import CHANGE_CONTACT, CHANGE_LEGAL
from billing.entities.models import BillingEntity, Department, EntityRelation, RoleException, RoleGrant
from billing.entities.paths import depth_of
from billing.entities.reach import only_proposes, visible
from billing.entities.role_conflicts import role_conflicts
from billing.entities.states import ENTITY_MOVES, EntityState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm, today
from billing.kernel.errors import NotFound
from billing.kernel.money import currencies

STATE_COLOURS = {"draft": "info", "active": "success", "suspended": "warning", "closed": "danger"}
TREE_NODES_MAX = 200


class EntityScopedAdmin(ReadOnlyAdmin):
    """Shows the rows within the reach of who looks. `entity` and `department` are lookups, as in `visible`."""

    entity = "entity"
    department = ""

    def scope(self, request, queryset):
        permission = f"{self.opts.app_label}.view_{self.opts.model_name}"
        return visible(
            queryset, user=request.user, permission=permission, entity=self.entity, department=self.department
        )


class CreatingAdmin(CreatesByService, EntityScopedAdmin):
    """Read within reach, and add by a service."""


class EntityForm(ScopedForm):
    parent = forms.ModelChoiceField(BillingEntity.objects.none())
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    starts_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), initial=today)

    class Meta:
        model = BillingEntity
        fields = (
            *("parent", "code", "name", "legal_name", "currency", "country", "tax_id", "email"),
            *("is_seller", "is_customer", "consolidation", "time_zone", "payment_terms_days"),
        )

    def limit_to(self, user: User) -> None:
        within = queries.entities_for(user, "entities.create_entity")
        self.fields["parent"].queryset = within.filter(state=EntityState.ACTIVE).order_by("code")


class DepartmentForm(ScopedForm):
    entity = forms.ModelChoiceField(BillingEntity.objects.none())
    parent = forms.ModelChoiceField(Department.objects.none(), required=False)
    starts_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), initial=today)

    class Meta:
        model = Department
        fields = ("entity", "parent", "code", "name", "cost_centre", "headcount", "starts_on")

    def limit_to(self, user: User) -> None:
        permission = "entities.create_department"
        self.fields["entity"].queryset = queries.entities_for(user, permission).order_by("code")
        self.fields["parent"].queryset = queries.departments_for(user, permission).order_by("path")


class GrantForm(ScopedForm):
    email = forms.EmailField(help_text="Of the person or service account who receives the role.")
    role = forms.ChoiceField(choices=Role.choices)
    entity = forms.ModelChoiceField(BillingEntity.objects.none())
    department = forms.ModelChoiceField(Department.objects.none(), required=False)

    class Meta:
        model = RoleGrant
        fields = ("role", "entity", "department", "starts_on", "ends_on", "reason")

    field_order = ("email", "role", "entity", "department", "starts_on", "ends_on", "reason")

    def limit_to(self, user: User) -> None:
        within = queries.entities_for(user, "entities.grant_role")
        self.fields["entity"].queryset = within.order_by("code")
        self.fields["department"].queryset = Department.objects.filter(entity__in=within).order_by("path")

    def clean_email(self) -> User:
        user = User.objects.filter(email=self.cleaned_data["email"].lower(), is_active=True).first()
        if user is None:
            raise forms.ValidationError("There is no active account with this address.")
        return user


class MoveForm(forms.Form):
    parent_code = forms.CharField(max_length=64, label="Code of the new parent")
    effective_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), initial=today)
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _move(request, entity, *, parent_code, effective_on, reason):
    within = queries.entities_for(request.user, "entities.move_entity")
    parent = within.filter(code__iexact=parent_code).first()
    if parent is None:
        raise NotFound("There is no entity with this code that you may move something to.")
    services.move_entity(
        actor=actor_of(request),
        entity_id=entity.pk,
        parent_id=parent.pk,
        effective_on=effective_on,
        as_of=queries.today_at(entity),
        reason=reason,
    )


def _state_action(name: str, effect: str, *, icon: str, danger: bool = False) -> ConsoleAction:
    service = getattr(services, f"{name}_entity")
    return ConsoleAction(
        name=name,
        description=f"{name.capitalize()}…",
        effect=effect,
        permission=f"entities.{name}_entity",
        run=lambda request, entity, reason: service(
            actor=actor_of(request), entity_id=entity.pk, reason=reason
        ),
        form=ReasonForm,
        icon=icon,
        danger=danger,
        applies=lambda entity: entity.state in ENTITY_MOVES[name].sources,
    )


class _ReadOnlyInline(TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class DepartmentInline(_ReadOnlyInline):
    model = Department
    fields = ("code", "name", "cost_centre", "manager", "is_default", "starts_on", "ends_on")
    ordering = ("path",)
    tab = True

    def get_queryset(self, request):
        queryset = super().get_queryset(request).select_related("manager")
        return visible(queryset, user=request.user, permission=queries.VIEW_DEPARTMENT, department="self")


class RelationInline(_ReadOnlyInline):
    model = EntityRelation
    fk_name = "entity"
    fields = ("parent_seen", "starts_on", "ends_on")
    readonly_fields = ("parent_seen",)
    ordering = ("-starts_on",)
    verbose_name_plural = "places in the hierarchy"
    show_change_link = False
    tab = True

    def get_queryset(self, request):
        self._seen = set(queries.entities_for(request.user).values_list("pk", flat=True)[:5000])
        return super().get_queryset(request).select_related("parent")

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(queries.VIEW_ENTITY)

    @display(description="Below")
    def parent_seen(self, relation):
        return str(relation.parent) if relation.parent_id in self._seen else "–"


class GrantInline(_ReadOnlyInline):
    model = RoleGrant
    fk_name = "entity"
    fields = ("user", "role", "department", "starts_on", "ends_on", "confirmed_at", "revoked_at")
    ordering = ("-created_at",)
    tab = True

    def get_queryset(self, request):
        queryset = super().get_queryset(request).select_related("user", "department")
        return visible(queryset, user=request.user, permission=queries.VIEW_GRANT, department="department")


@admin.register(BillingEntity)
class BillingEntityAdmin(CreatingAdmin):
    entity = ""
    creates = "entities.create_entity"
    create_form = EntityForm
    list_display = ("code", "indented", "shown_state", "currency", "country", "is_seller", "consolidation")
    list_filter = ("state", "currency", "country", "consolidation", "is_seller")
    search_fields = ("code", "name", "legal_name", "external_reference")
    search_help_text = "Code, name or external reference"
    ordering = ("path",)
    fields = (
        *("code", "name", "legal_name", "shown_state", "shown_tree", "is_seller", "is_customer"),
        *(
            "consolidation",
            "currency",
            "country",
            "shown_tax_id",
            "shown_account",
            "email",
            "shown_address",
            "time_zone",
            "language",
        ),
        *("payment_terms_days", "fiscal_year_starts_in", "external_reference", "metadata", "created_at"),
    )
    readonly_fields = (
        *("shown_state", "shown_tree", "shown_tax_id", "shown_account", "shown_address", "created_at"),
    )
    inlines = (DepartmentInline, GrantInline, RelationInline)
    console_actions = (
        CHANGE_CONTACT,
        CHANGE_LEGAL,
        _state_action("activate", "The entity becomes active and can be billed.", icon="check_circle"),
        _state_action("suspend", "Nothing new is added below or billed to the entity.", icon="pause_circle"),
        _state_action("resume", "The entity is active again.", icon="play_circle"),
        _state_action("close", "The entity ends for good.", icon="cancel", danger=True),
        ConsoleAction(
            name="move",
            description="Move…",
            effect="The entity, with everything below it, is placed under another parent from that day.",
            permission="entities.move_entity",
            run=_move,
            form=MoveForm,
            icon="account_tree",
            applies=lambda entity: entity.state != EntityState.CLOSED,
        ),
    )

    @display(description="Address")
    def shown_address(self, entity):
        address = entity.address or {}
        town = " ".join(str(address[part]) for part in ("postal_code", "city") if address.get(part))
        lines = [address.get("line1"), address.get("line2"), town, address.get("region")]
        return ", ".join(str(line) for line in [*lines, address.get("country")] if line) or "–"

    def get_object(self, request, object_id, from_field=None):
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.looked_at_by = request.user
        return found

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def shown_state(self, entity):
        return Labelled(entity.state, EntityState)

    @display(description="Name", ordering="name")
    def indented(self, entity):
        """The list comes in the order of the tree; how deep an entity stands shows in its name."""
        depth = depth_of(entity.path) - 1
        return format_html('<span style="padding-left: {}rem">{}</span>', depth, entity.name)

    @display(description="Hierarchy")
    def shown_tree(self, entity):
        """Everything visible from the root down, indented, the present entity in bold."""
        top = entity.path[:34]
        rows = list(
            queries.entities_for(entity.looked_at_by)
            .filter(path__startswith=top)
            .order_by("path")
            .values_list("pk", "path", "code", "name", "state")[: TREE_NODES_MAX + 1]
        )
        lines = format_html_join("", "{}", ((_tree_line(row, entity),) for row in rows[:TREE_NODES_MAX]))
        more = "…" if len(rows) > TREE_NODES_MAX else ""
        return format_html('<ul class="leading-relaxed">{}{}</ul>', lines, more)

    @display(description="Tax id")
    def shown_tax_id(self, entity):
        return queries.confidential(entity, entity.looked_at_by).get("tax_id") or "–"

    @display(description="Bank account")
    def shown_account(self, entity):
        account = queries.confidential(entity, entity.looked_at_by).get("bank_account") or {}
        return ", ".join(account[part] for part in ("bank", "iban", "bic") if part in account) or "–"

    def create(self, request, given):
        parent = given.pop("parent")
        return services.create_entity(
            actor=actor_of(request),
            parent_id=parent.pk,
            as_draft=only_proposes(request.user, self.creates, parent),
            **given,
        )


def _tree_line(row: tuple, present: BillingEntity):
    pk, path, code, name, state = row
    label = f"{name} ({code})" + ("" if state == EntityState.ACTIVE else f" – {state}")
    where = format_html('<li style="padding-left: {}rem">', depth_of(path) - 1)
    if pk == present.pk:
        return format_html('{}<strong aria-current="true">{}</strong></li>', where, label)
    url = reverse("admin:entities_billingentity_change", args=[pk])
    return format_html('{}<a class="underline" href="{}">{}</a></li>', where, url, label)


@admin.register(Department)
class DepartmentAdmin(CreatingAdmin):
    department = "self"
    creates = "entities.create_department"
    create_form = DepartmentForm
    list_display = ("code", "name", "entity", "cost_centre", "manager", "is_default", "starts_on", "ends_on")
    list_filter = ("is_default",)
    list_select_related = ("entity", "manager")
    search_fields = ("code", "name", "cost_centre", "entity__code", "entity__name")
    ordering = ("entity__path", "path")

    def create(self, request, given):
        entity, parent = given.pop("entity"), given.pop("parent")
        return services.create_department(
            actor=actor_of(request), entity_id=entity.pk, parent_id=parent.pk if parent else None, **given
        )


@admin.register(RoleGrant)
class RoleGrantAdmin(CreatingAdmin):
    department = "department"
    creates = "entities.grant_role"
    create_form = GrantForm
    list_display = (
        "user",
        "role",
        "entity",
        "department",
        "starts_on",
        "ends_on",
        "confirmed_at",
        "revoked_at",
    )
    list_filter = ("role",)
    list_select_related = ("user", "entity", "department")
    search_fields = ("user__email", "user__name", "entity__code")
    ordering = ("-created_at",)
    console_actions = (
        ConsoleAction(
            name="confirm",
            description="Confirm",
            effect="The role takes effect at once, or with the approval of those whom a rule asks.",
            permission="entities.confirm_grant",
            asks="approvals.request_role_grant",
            run=lambda request, grant: services.confirm_grant(actor=actor_of(request), grant_id=grant.pk),
            icon="verified_user",
            applies=lambda grant: grant.confirmed_at is None and grant.revoked_at is None,
        ),
        ConsoleAction(
            name="revoke",
            description="Revoke…",
            effect="The role is gone with the next request of its holder.",
            permission="entities.revoke_grant",
            run=lambda request, grant, reason: services.revoke_grant(
                actor=actor_of(request), grant_id=grant.pk, reason=reason
            ),
            form=ReasonForm,
            icon="block",
            danger=True,
            applies=lambda grant: grant.revoked_at is None,
        ),
    )

    def create(self, request, given):
        user, entity, department = given.pop("email"), given.pop("entity"), given.pop("department")
        return services.grant_role(
            actor=actor_of(request),
            user_id=user.pk,
            entity_id=entity.pk,
            department_id=department.pk if department else None,
            **given,
        )


class ExceptionForm(ScopedForm):
    email = forms.EmailField(help_text="Of the person who is to hold both roles.")
    role = forms.ChoiceField(choices=Role.choices)
    other_role = forms.ChoiceField(choices=Role.choices)
    entity = forms.ModelChoiceField(BillingEntity.objects.none(), help_text="And all below it.")
    starts_on = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), initial=today)
    ends_on = forms.DateField(
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The first day without it, within a year. One of the two roles must end by then.",
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))

    class Meta:
        model = RoleException
        fields = ("role", "other_role", "entity", "starts_on", "ends_on", "reason")

    field_order = ("email", "role", "other_role", "entity", "starts_on", "ends_on", "reason")

    def limit_to(self, user: User) -> None:
        within = queries.entities_for(user, "entities.approve_exception")
        self.fields["entity"].queryset = within.order_by("code")

    def clean_email(self) -> User:
        user = User.objects.filter(email=self.cleaned_data["email"].lower(), is_active=True).first()
        if user is None:
            raise forms.ValidationError("There is no active account with this address.")
        return user

    def clean(self):
        """In the order in which they are kept: the form checks what the table does."""
        given = super().clean()
        roles = sorted(given[name] for name in ("role", "other_role") if name in given)
        if len(roles) == 2 and not in_conflict(*roles):
            raise forms.ValidationError("These roles do not conflict: no exception is needed.")
        return given | dict(zip(("role", "other_role"), roles, strict=False))


@admin.register(RoleException)
class RoleExceptionAdmin(CreatingAdmin):
    """The auditor's page of duties: exceptions, and above them who holds conflicting roles now."""

    creates = "entities.approve_exception"
    create_form = ExceptionForm
    list_before_template = "admin/tables.html"
    list_display = (
        "person",
        "role",
        "other_role",
        "entity",
        "starts_on",
        "ends_on",
        "approved_by",
        "revoked_at",
    )
    list_filter = ("role", "other_role", "ends_on")
    list_select_related = ("person", "entity", "approved_by")
    search_fields = ("person__email", "person__name", "entity__code")
    ordering = ("-created_at",)
    fields = (
        ("person", "approved_by"),
        ("role", "other_role"),
        ("entity", "starts_on", "ends_on"),
        ("revoked_at", "reason"),
    )
    console_actions = (
        ConsoleAction(
            name="revoke",
            description="Revoke…",
            effect="The two roles may not be held together any more. Revoke one of the roles first.",
            permission="entities.revoke_exception",
            run=lambda request, exception, reason: services.revoke_exception(
                actor=actor_of(request), exception_id=exception.pk, reason=reason
            ),
            form=ReasonForm,
            icon="block",
            danger=True,
            applies=lambda exception: exception.revoked_at is None,
        ),
    )

    def changelist_view(self, request, extra_context=None):
        tables = [_role_conflicts_table(request.user)]
        return super().changelist_view(request, {**(extra_context or {}), "tables": tables})

    def create(self, request, given):
        person, entity = given.pop("email"), given.pop("entity")
        return services.approve_exception(
            actor=actor_of(request), person_id=person.pk, entity_id=entity.pk, **given
        )


def _role_conflicts_table(reader: User) -> dict:
    """As the theme's table component takes it."""
    return {
        "title": "Conflicting roles held together, now or from a day to come",
        "note": "What nobody allowed is older than the rule against it: revoke one of the two roles.",
        "headers": [
            "Person",
            "Role",
            "Where",
            "Other role",
            "Where",
            "From",
            "Until before",
            "Allowed by",
            "Why",
        ],
        "rows": [
            [
                f"{held.person} ({held.email})",
                Role(held.role).label,
                held.place or "elsewhere",
                Role(held.other_role).label,
                held.other_place or "elsewhere",
                str(held.starts_on),
                str(held.ends_on or "–"),
                f"{held.allowed_by} until {held.allowed_until}" if held.exception else "nobody",
                held.reason or "–",
            ]
            for held in role_conflicts(as_of=today(), within=reader)
        ],
    }


class HeldGrantInline(GrantInline):
    """On a user's page: the roles that account holds, as far as the reader may see them."""

    fk_name = "user"
    fields = ("role", "entity", "department", "starts_on", "ends_on", "confirmed_at", "revoked_at")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("entity")


# Users are below entities: their page gets the grants here.
admin.site.get_model_admin(User).inlines = (HeldGrantInline,)
