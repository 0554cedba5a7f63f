"""If an operation needs approval, the caller gets 202 with the request that was filed for it, not a refusal."""

from collections.abc import Callable

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.kernel.approval import ApprovalRequired, ProposedOperation

ApprovalResponder = Callable[[Request, ProposedOperation], Response | None]
RESPONDERS: list[ApprovalResponder] = []


class PendingApproval(serializers.Serializer):
    approval_request = serializers.DictField(
        help_text="As `GET /approvals/requests/{id}` shows it. The last approval performs the operation."
    )


def approval_responder(responder: ApprovalResponder) -> ApprovalResponder:
    """Register who files a request for an operation and responds with it; None if that user may not request it."""
    RESPONDERS.append(responder)
    return responder


def request_instead(view, refusal: ApprovalRequired) -> Response | None:
    """For the actions that a view names in `approval_actions`, if one operation needs approval: several are requested
    one by one."""
    if view.action not in view.approval_actions or len(refusal.operations) != 1:
        return None
    responses = (responder(view.request, refusal.operations[0]) for responder in RESPONDERS)
    return next((response for response in responses if response is not None), None)
