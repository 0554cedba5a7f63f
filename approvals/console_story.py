"""The story of a request as tables: what is asked for, who is asked, and everything that was said."""

from collections.abc import Iterator, Mapping

from approvals.models import ApprovalAction, ApprovalRequest
from approvals.states import ActionKind
from billing.access.models import User
from billing.kernel.console.tables import Table

NOTHING = "–"
CHANGE = {"before", "after"}
ORDER = (
    *("title", "amount", "currency", "rate", "base_currency", "entity", "department", "gl_code", "fields"),
    *("requester", "beneficiary", "kind", "subject"),
)


def story(subject: ApprovalRequest) -> list[Table]:
    terms = subject.content["terms"]
    is_change = set(terms) == CHANGE
    return [
        *([_changes(terms)] if is_change else []),
        _facts(subject, {} if is_change else terms),
        _levels(subject),
        _history(subject),
    ]


def _changes(terms: Mapping) -> Table:
    before, after = dict(_flat(terms["before"])), dict(_flat(terms["after"]))
    rows = [[name, before.get(name, NOTHING), after.get(name, NOTHING)] for name in sorted(before | after)]
    return Table(
        title="What changes",
        headers=["What", "Now", "Then"],
        rows=[row for row in rows if row[1] != row[2]],
    )


def _facts(subject: ApprovalRequest, terms: Mapping) -> Table:
    """The terms first: they are what it is about. Ids come with what they stand for."""
    known = {
        name: str(named)
        for name in ("entity", "department", "requester", "beneficiary")
        if (named := getattr(subject, name)) is not None
    }
    facts = {
        name: f"{known[name]}, {subject.content[name]}" if name in known else subject.content[name]
        for name in ORDER
    }
    return Table(
        title="What is asked for",
        headers=["Fact", "Value"],
        rows=[[name, value] for name, value in [*_flat(terms), *_flat(facts)]],
        note="Exactly this is approved: the digest is of all of it.",
    )


def _flat(facts: Mapping, above: str = "") -> Iterator[tuple[str, str]]:
    """Members of members by both their names."""
    for name, value in facts.items():
        label = f"{above}{name.replace('_', ' ')}"
        label = label[:1].upper() + label[1:]
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{label}: ")
        else:
            yield label, _readable(value)


def _readable(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_readable, value)) or NOTHING
    return NOTHING if value in (None, "", {}) else str(value)


def _levels(subject: ApprovalRequest) -> Table:
    levels = list(subject.levels.prefetch_related("votes").order_by("position"))
    people = {pk for level in levels for pk in level.approvers}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "name"))
    return Table(
        title="Levels",
        headers=["#", "Must agree", "Asked", "Agreed", "State"],
        rows=[
            [
                str(level.position),
                f"{level.needed} of {len(level.approvers)} ({level.mode})",
                ", ".join(names[pk] for pk in level.approvers),
                ", ".join(names.get(vote.approver_id, "") for vote in level.votes.all()) or "–",
                level.get_state_display(),
            ]
            for level in levels
        ],
        note=f"By the rule '{subject.snapshot['name']}', version {subject.snapshot['version']}.",
    )


def _history(subject: ApprovalRequest) -> Table:
    actions = subject.actions.select_related("person", "on_behalf_of").order_by("number")
    return Table(
        title="History",
        headers=["#", "When (UTC)", "Who", "For", "What", "Level", "Comment", "Digest"],
        rows=[
            [
                str(action.number),
                action.at[:19].replace("T", " "),
                str(action.person or action.actor),
                str(action.on_behalf_of or "–"),
                _said(action),
                str(action.level or "–"),
                action.comment or "–",
                action.digest[:12],
            ]
            for action in actions
        ],
    )


def _said(action: ApprovalAction) -> str:
    """The first one's detail is the frozen levels, which have their own table."""
    detail = "" if action.action == ActionKind.REQUEST else action.detail
    return f"{action.get_action_display()} {detail}".strip()
