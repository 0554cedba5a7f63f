"""What approvals answers when lower apps ask, and what happens once consent is given."""

from collections.abc import Sequence

from django.utils import timezone

from approvals.kinds import GENERAL, effect
from approvals.models import ApprovalRequest
from approvals.services.consenting import request_consent, without_consent
from billing.kernel.consent import ApprovalRequired, ProposedAct, asks_for_consent, guards_acts
from billing.kernel.money import round_half_up


@effect(GENERAL)
def consent_is_given(request: ApprovalRequest) -> dict:
    """Nothing happens in this system: who acts on it reads the event `approval.approved` or the request."""
    return {}


@guards_acts
def acts_within_limits_need_consent(acts: Sequence[ProposedAct]) -> None:
    """Raises ApprovalRequired for acts that a rule covers, unless exactly this was just approved."""
    if lacking := without_consent(acts, at=timezone.now()):
        told = ", ".join(_told(act) for act in lacking[:10])
        raise ApprovalRequired(f"This needs consent, ask for it first: {told}.", acts=lacking)


@asks_for_consent
def file_request(act: ProposedAct, *, comment: str) -> str:
    return str(request_consent(act, at=timezone.now(), comment=comment))


def _told(act: ProposedAct) -> str:
    if not act.amount:
        return act.title
    return f"{act.title}, {round_half_up(act.amount, act.currency)} {act.currency}"
