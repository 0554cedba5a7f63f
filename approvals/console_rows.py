"""Rows of the console's forms for rules: the levels of a rule, and the custom fields it looks at."""

from collections.abc import Iterable, Mapping, Sequence

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q

from approvals.core.levels import Mode
from approvals.models.rules import FIELD_NAME_MAX, FIELD_VALUE_MAX, FIELDS_MAX, LEVELS_MAX
from approvals.services.rules import APPROVERS_MAX
from billing.access.models import User, UserKind
from billing.access.permissions import PERMISSIONS
from billing.access.roles import Role
from billing.entities.reach import live_grants
from billing.kernel.console.rows import RowsField
from billing.kernel.text import is_one_line

MODES = [
    (Mode.ANY.value, "Any one of them"),
    (Mode.ALL.value, "All of them"),
    (Mode.QUORUM.value, "A number of them"),
]
MANAGERS = [
    ("department_manager", "The department's manager"),
    ("manager_chain", "The nearest manager whose limit covers it"),
]
FIELD_ROWS_MAX = 100


class LevelRow(forms.Form):
    approvers = forms.MultipleChoiceField(
        widget=forms.SelectMultiple(attrs={"size": 8}), help_text="Ctrl or Cmd chooses several."
    )
    mode = forms.ChoiceField(choices=MODES, label="Must approve")
    quorum = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=APPROVERS_MAX,
        label="How many",
        help_text="Of a number of them.",
    )

    def __init__(self, *args, approvers: Sequence[tuple], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["approvers"].choices = approvers

    def clean(self) -> dict:
        row = super().clean()
        if (row.get("mode") == Mode.QUORUM) != (
            row.get("quorum") is not None
        ) and "quorum" not in self.errors:
            wrong = "Say how many." if row.get("mode") == Mode.QUORUM else "Only for a number of them."
            self.add_error("quorum", wrong)
        return row


class FieldRow(forms.Form):
    name = forms.CharField(max_length=FIELD_NAME_MAX)
    value = forms.CharField(max_length=FIELD_VALUE_MAX)

    def clean_name(self) -> str:
        return _on_one_line(self.cleaned_data["name"])

    def clean_value(self) -> str:
        return _on_one_line(self.cleaned_data["value"])


class LevelsField(RowsField):
    """Its value is the levels of a rule, as `RuleTerms` takes them."""

    def __init__(self, **kwargs):
        super().__init__(
            LevelRow, rows_max=LEVELS_MAX, row_label="Level", add_label="Add level", columns=2, **kwargs
        )
        self.widget.row_kwargs = {"approvers": []}

    def offer(self, levels: Sequence[Mapping] = ()) -> None:
        """People who may decide somewhere, and whomever `levels` name already."""
        self.widget.row_kwargs = {"approvers": _approvers(levels)}

    def clean(self, value) -> list[dict]:
        return [_level(row) for row in super().clean(value)]


class FieldsField(RowsField):
    """Its value is custom fields: by name the values in their order. With `single` each name has one value."""

    def __init__(self, *, single: bool = False, **kwargs):
        self.single = single
        super().__init__(
            FieldRow,
            rows_max=FIELD_ROWS_MAX,
            row_label="Field",
            add_label="Add field",
            columns=2,
            required=False,
            **kwargs,
        )

    def clean(self, value) -> dict[str, list[str]]:
        fields: dict[str, list[str]] = {}
        for row in super().clean(value):
            fields.setdefault(row["name"], []).append(row["value"])
        if len(fields) > FIELDS_MAX or any(len(values) > FIELDS_MAX for values in fields.values()):
            raise ValidationError(f"At most {FIELDS_MAX} names, and {FIELDS_MAX} values of each.")
        if self.single:
            for name, values in fields.items():
                if len(values) > 1:
                    raise ValidationError(f"{name}: one value only.")
        return fields


def level_rows(levels: Iterable[Mapping]) -> list[dict]:
    """What `LevelsField` shows them as."""
    return [
        {
            "mode": level["mode"],
            "quorum": level.get("quorum"),
            "approvers": [_choice(approver) for approver in level["approvers"]],
        }
        for level in levels
    ]


def field_rows(fields: Mapping[str, Iterable[str]]) -> list[dict]:
    """What `FieldsField` shows them as."""
    return [{"name": name, "value": value} for name, values in fields.items() for value in values]


def field_text(fields: Mapping[str, Sequence[str]]) -> list[str]:
    """As a person reads them."""
    return [f"{name} is {' or '.join(values)}" for name, values in fields.items()]


def _approvers(levels: Sequence[Mapping]) -> list[tuple]:
    named = {
        approver["user"] for level in levels for approver in level["approvers"] if approver["kind"] == "user"
    }
    decides = PERMISSIONS["approvals.decide_request"].roles
    deciding = live_grants().filter(role__in=decides).values("user")
    people = User.objects.filter(Q(pk__in=named) | Q(pk__in=deciding, is_active=True), kind=UserKind.PERSON)
    roles = [(f"role:{role}", f"Everybody: {Role(role).label}") for role in sorted(decides)]
    return [
        ("Roles", roles),
        ("Managers", MANAGERS),
        (
            "People",
            [(f"user:{one.pk}", f"{one.name} ({one.email})") for one in people.order_by("name", "email")],
        ),
    ]


def _choice(approver: Mapping) -> str:
    kind = approver["kind"]
    return f"{kind}:{approver[kind]}" if kind in {"role", "user"} else kind


def _level(row: Mapping) -> dict:
    approvers = []
    for choice in row["approvers"]:
        kind, _, name = choice.partition(":")
        approvers.append({"kind": kind, kind: name} if name else {"kind": kind})
    level = {"mode": row["mode"], "approvers": approvers}
    return level | ({"quorum": row["quorum"]} if row["mode"] == Mode.QUORUM else {})


def _on_one_line(text: str) -> str:
    if not is_one_line(text):
        raise ValidationError("Visible characters on one line, please.")
    return text
