"""An act that needs other people's consent is asked for by who may: 202 with the request, in the place of a refusal."""

from collections.abc import Callable

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.kernel.consent import ApprovalRequired, ProposedAct

Answerer = Callable[[Request, ProposedAct], Response | None]
ANSWERERS: list[Answerer] = []


class PendingApproval(serializers.Serializer):
    approval_request = serializers.DictField(
        help_text="As `GET /approvals/requests/{id}` shows it. The last consent does what you asked for."
    )


def answers_for_acts(answerer: Answerer) -> Answerer:
    """Register who files a request for an act and answers with it; None if that user may not ask."""
    ANSWERERS.append(answerer)
    return answerer


def asked_instead(view, refusal: ApprovalRequired) -> Response | None:
    """Of the actions that a view names in `consent_actions`, and of one act: many are asked for one by one."""
    if view.action not in view.consent_actions or len(refusal.acts) != 1:
        return None
    answers = (answerer(view.request, refusal.acts[0]) for answerer in ANSWERERS)
    return next((answer for answer in answers if answer is not None), None)
