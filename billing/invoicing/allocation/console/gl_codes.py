"""GL code mappings in the console."""

from datetime import timedelta

from django import forms
from django.contrib import admin
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.entities.models import BillingEntity, Department
from billing.entities.queries import departments_for, entities_for
from billing.invoicing import queries, services
from billing.invoicing.models import GLCodeMapping
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import today
from billing.subscriptions.models import Product
from billing.subscriptions.queries import products_for


class MappingForm(ScopedForm):
    entity = forms.ModelChoiceField(
        BillingEntity.objects.none(), help_text="For what is billed to it and to those below it."
    )
    product = forms.ModelChoiceField(Product.objects.none(), required=False, empty_label="Any")
    department = forms.ModelChoiceField(Department.objects.none(), required=False, empty_label="Any")
    starts_on = forms.DateField(widget=forms.DateInput(), initial=today)
    ends_on = forms.DateField(
        widget=forms.DateInput(),
        required=False,
        help_text="The first day on which it no longer is so, if known.",
    )

    class Meta:
        model = GLCodeMapping
        fields = ("entity", "product", "department", "tax_category", "gl_code", "starts_on", "ends_on")

    def limit_to(self, user: User) -> None:
        self.fields["entity"].queryset = entities_for(user, "invoicing.create_gl_code_mapping").order_by(
            "code"
        )
        self.fields["product"].queryset = products_for(user).order_by("code")
        self.fields["department"].queryset = (
            departments_for(user).select_related("entity").order_by("entity__code", "code")
        )


class EndForm(forms.Form):
    ends_on = forms.DateField(
        widget=forms.DateInput(), initial=today, help_text="The first day on which it no longer is so."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _end(request, mapping, *, ends_on, reason):
    services.end_gl_code_mapping(
        actor=actor_of(request), mapping_id=mapping.pk, ends_on=ends_on, reason=reason
    )


@admin.register(GLCodeMapping)
class GLCodeMappingAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Without a mapping, cost is posted under the GL code of its product or department."
    creates = "invoicing.create_gl_code_mapping"
    create_form = MappingForm
    list_display = (
        "gl_code",
        "entity",
        "product",
        "department",
        "tax_category",
        "starts_on",
        "shown_end",
    )
    list_filter = ("tax_category",)
    list_select_related = ("entity", "product", "department")
    search_fields = ("gl_code", "entity__code", "entity__name", "product__code", "department__code")
    search_help_text = "GL code, or code of the entity, product or department"
    ordering = ("entity__code", "gl_code", "-starts_on")
    fields = (
        ("entity", "gl_code"),
        ("product", "department", "tax_category"),
        ("starts_on", "shown_end", "created_at"),
    )
    readonly_fields = ("shown_end", "created_at")
    console_actions = (
        ConsoleAction(
            name="end",
            description="End…",
            effect="What is issued from now on and starts on that day or later no longer has this code. What is posted stays.",
            permission="invoicing.end_gl_code_mapping",
            run=_end,
            form=EndForm,
            icon="event_busy",
        ),
    )

    def get_queryset(self, request):
        mappings = queries.gl_code_mappings_for(request.user)
        return mappings.select_related(*self.list_select_related).order_by(*self.ordering)

    def create(self, request, given):
        named = {f"{name}_id": (found := given.pop(name)) and found.pk for name in ("product", "department")}
        entity = given.pop("entity")
        return services.add_gl_code_mapping(actor=actor_of(request), entity_id=entity.pk, **named, **given)

    @display(description="Last day", ordering="ends_on")
    def shown_end(self, mapping):
        return mapping.ends_on - timedelta(days=1) if mapping.ends_on else "until further notice"
