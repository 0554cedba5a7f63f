"""Reading reported events and answering them: by hand, because they come by the thousand."""

from collections import Counter
from collections.abc import Sequence

from rest_framework.exceptions import ValidationError

from billing.kernel.api.fields import ExactAmountField, instant_text
from billing.usage import rows
from billing.usage.errors import EventConflict, EventRejected
from billing.usage.services import Outcome, UsageReport

COUNTED_AS = {
    "accepted": "accepted",
    "duplicate": "duplicates",
    "conflict": "conflicts",
    "rejected": "rejected",
}
_exact = ExactAmountField()


def read_batch(body: dict) -> tuple[list[UsageReport], dict[int, dict]]:
    """The readable rows in order, and the answers to those that are not, by position."""
    events = body["events"]
    if len(body) > 1 or not isinstance(events, list) or not events:
        raise ValidationError({"events": "Must be a list of events, alone, and not empty."})
    reports, malformed = [], {}
    for position, row in enumerate(events):
        try:
            reports.append(rows.read_row(row))
        except rows.Malformed as fault:
            malformed[position] = _malformed(row, fault)
    return reports, malformed


def read_one(body: dict) -> UsageReport:
    try:
        return rows.read_row(body)
    except rows.Malformed as fault:
        raise ValidationError(fault.errors) from None


def batch_answer(outcomes: Sequence[Outcome], malformed: dict[int, dict]) -> dict:
    """One result per row, in the order they came."""
    told = (answer(outcome) for outcome in outcomes)
    results = [malformed.get(i) or next(told) for i in range(len(outcomes) + len(malformed))]
    counts = Counter(result["status"] for result in results)
    return {"results": results} | {member: counts[status] for status, member in COUNTED_AS.items()}


def answer(outcome: Outcome) -> dict:
    members = {
        "transaction_id": outcome.transaction_id,
        "status": outcome.status,
        "code": outcome.code,
        "detail": outcome.detail,
        "event": outcome.event_id and str(outcome.event_id),
        **_room(outcome),
    }
    return {name: value for name, value in members.items() if value}


def refuse(outcome: Outcome) -> None:
    """Raises what became of a single event as an error, if it was not recorded."""
    about = {"transaction_id": outcome.transaction_id, **_room(outcome)}
    if outcome.status == "conflict":
        raise EventConflict(outcome.detail, **about)
    if outcome.status == "rejected":
        raise EventRejected(outcome.detail, code=outcome.code, **about)


def _room(outcome: Outcome) -> dict:
    room = {}
    if outcome.remaining is not None:
        room["remaining"] = _exact.to_representation(outcome.remaining)
    if outcome.resets_at is not None:
        room["resets_at"] = instant_text(outcome.resets_at)
    return room


def _malformed(row: object, fault: rows.Malformed) -> dict:
    transaction_id = row.get("transaction_id") if isinstance(row, dict) else None
    return {
        "transaction_id": transaction_id if isinstance(transaction_id, str) else "",
        "status": "rejected",
        "code": "invalid-event",
        "detail": str(fault)[:500],
        "errors": [
            {"field": str(name)[:64], "code": "invalid", "message": text}
            for name, text in list(fault.errors.items())[:20]
        ],
    }
