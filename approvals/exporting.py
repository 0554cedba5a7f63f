"""A request as a proof that can be checked without this database (`approvals.proof`)."""

from approvals.chain import FACTS
from approvals.models import ApprovalAction, ApprovalRequest
from approvals.proof import FORMAT, rendered

_COLUMNS = {"request": "request_id", "person": "person_id", "on_behalf_of": "on_behalf_of_id"}


def proof_of(request: ApprovalRequest) -> str:
    """The file's text."""
    effect = getattr(request, "effect", None)
    return rendered(
        {
            "format": FORMAT,
            "request": {
                "id": str(request.pk),
                "title": request.title,
                "state": request.state,
                "content": request.content,
                "digest": request.digest,
            },
            "actions": [facts_of(action) for action in request.actions.order_by("number")],
            "effect": effect and {"digest": effect.digest, "outcome": effect.outcome},
        }
    )


def facts_of(action: ApprovalAction) -> dict[str, str]:
    """Everything its digest covers, as text; what is absent is ""."""
    values = {name: getattr(action, _COLUMNS.get(name, name)) for name in FACTS}
    facts = {name: "" if value is None else str(value) for name, value in values.items()}
    return facts | {"previous_digest": action.previous_digest, "digest": action.digest}
