"""The versions of a rule as a person reads them, who confirms one above all."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from approvals.console_rows import field_text
from approvals.models import ApprovalRule, ApprovalRuleVersion
from billing.access.models import User
from billing.kernel.console.tables import Table, money
from billing.kernel.money import minor_unit


def newest(rule: ApprovalRule) -> ApprovalRuleVersion:
    return rule.versions.all()[0]


def figure(bound: Decimal | None, currency: str) -> Decimal | None:
    """A bound as a field of a form shows it: with the decimals of its currency."""
    return None if bound is None else bound.quantize(minor_unit(currency))


def versions_table(rule: ApprovalRule) -> Table:
    versions = list(rule.versions.all())
    names = _names_in(versions)
    return Table(
        title="Versions",
        headers=[
            *("#", "State", "Amounts", "Other conditions", "Levels", "Due, expires after"),
            *("Proposed by", "Confirmed by", "Why"),
        ],
        rows=[
            [
                str(version.number),
                version.get_state_display() if version.is_enabled else f"{version.get_state_display()}, off",
                band_of(version),
                _conditions(version, names),
                _levels(version, names),
                f"{version.due_days}, {version.expires_days} days",
                str(version.proposed_by),
                str(version.confirmed_by or "–"),
                version.reason,
            ]
            for version in versions
        ],
        note="A change is in force once a controller other than who proposed it confirms it.",
    )


def band_of(version: ApprovalRuleVersion) -> str:
    low, high = (
        money(bound, version.currency) if bound is not None else ""
        for bound in (version.above_amount, version.up_to_amount)
    )
    return " ".join(filter(None, (low and f"over {low}", high and f"up to {high}"))) or "any"


def told_of(rule: ApprovalRule) -> str:
    """What the newest version says, in a line."""
    version = newest(rule)
    names = _names_in([version])
    off = "" if version.is_enabled else "switched off; "
    return (
        f"{rule}: {off}{band_of(version)}; {_conditions(version, names)}; {_levels(version, names)};"
        f" proposed by {version.proposed_by}: {version.reason}"
    )


def _names_in(versions: Iterable[ApprovalRuleVersion]) -> dict[str, str]:
    """Of the people whom levels and conditions name by id."""
    ids = {
        str(named)
        for version in versions
        for named in (
            *version.requesters,
            *(each["user"] for level in version.levels for each in level["approvers"] if "user" in each),
        )
    }
    return {str(pk): name for pk, name in User.objects.filter(pk__in=ids).values_list("pk", "name")}


def _conditions(version: ApprovalRuleVersion, names: Mapping[str, str]) -> str:
    told = [
        version.department and f"department {version.department}",
        version.gl_codes and f"GL {', '.join(version.gl_codes)}",
        version.requesters
        and f"asked for by {', '.join(sorted(names[str(person)] for person in version.requesters))}",
        *field_text(version.fields),
        version.priority and f"priority {version.priority}",
    ]
    return "; ".join(filter(None, told)) or "no other condition"


def _levels(version: ApprovalRuleVersion, names: Mapping[str, str]) -> str:
    return " → ".join(
        f"{level.get('quorum') or level['mode']} of "
        + ", ".join(_approver(each, names) for each in level["approvers"])
        for level in version.levels
    )


def _approver(approver: Mapping, names: Mapping[str, str]) -> str:
    if "user" in approver:
        return names[approver["user"]]
    return approver.get("role") or approver["kind"].replace("_", " ")
