"""The levels of a rule as a person types them, one a line: "any: AP", "2: ada@example.com, FC, manager chain"."""

from collections.abc import Mapping, Sequence

from approvals.core.levels import Mode
from billing.access.models import User, UserKind
from billing.kernel.errors import Invalid

HELP = (
    "One level a line, the first first: “any: AP”, “all: ada@example.com, department manager”, “2: FC, manager chain”."
    " Before the colon any, all, or how many must agree; after it AP or FC (everybody with the role there), addresses,"
    " “department manager”, “manager chain”."
)
_WORDS = {"department manager": "department_manager", "manager chain": "manager_chain"}


def levels_from(text: str) -> list[dict]:
    """Raises Invalid, which names the line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [_level(position, line) for position, line in enumerate(lines, start=1)]


def text_of(levels: Sequence[Mapping]) -> str:
    """What `levels_from` reads back."""
    ids = {approver["user"] for level in levels for approver in level["approvers"] if "user" in approver}
    emails = {str(pk): email for pk, email in User.objects.filter(pk__in=ids).values_list("pk", "email")}
    words = {kind: word for word, kind in _WORDS.items()}
    return "\n".join(
        f"{level.get('quorum') or level['mode']}: "
        + ", ".join(
            approver.get("role") or emails.get(approver.get("user", ""), "") or words[approver["kind"]]
            for approver in level["approvers"]
        )
        for level in levels
    )


def _level(position: int, line: str) -> dict:
    how, colon, who = line.partition(":")
    how = how.strip().lower()
    if not colon or not (how in {Mode.ANY, Mode.ALL} or (how.isdecimal() and len(how) < 4)):
        raise Invalid(
            f"Line {position}: it begins with “any:”, “all:” or a number and a colon.", field="levels"
        )
    approvers = [_approver(position, name.strip()) for name in who.split(",") if name.strip()]
    if how.isdecimal():
        return {"mode": str(Mode.QUORUM), "quorum": int(how), "approvers": approvers}
    return {"mode": how, "approvers": approvers}


def _approver(position: int, name: str) -> dict:
    if name.lower() in _WORDS:
        return {"kind": _WORDS[name.lower()]}
    if "@" not in name:
        return {"kind": "role", "role": name.upper()}
    person = User.objects.filter(email=name.lower(), kind=UserKind.PERSON, is_active=True).first()
    if person is None:
        raise Invalid(f"Line {position}: there is no active person {name}.", field="levels")
    return {"kind": "user", "user": str(person.pk)}
