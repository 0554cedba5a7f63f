"""Who has a part in what is asked for, and so does not decide: compared on the person, through every account."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from approvals.kinds import CONFLICTS_OF_INTEREST, no_conflicts
from approvals.models import ApprovalRequest
from billing.access.models import User
from billing.kernel.errors import NotFound


def persons_with_conflicts(request: ApprovalRequest, *, at: datetime) -> set[UUID]:
    """The persons whom the request's kind bars as of `at`, beside who asked and who gains."""
    return persons_behind(CONFLICTS_OF_INTEREST.get(request.kind, no_conflicts)(request, at))


def users_among(actors: Iterable[str]) -> set[UUID]:
    """Of actors as the audit trail names them: commands and tasks are nobody's."""
    return {UUID(name) for kind, _, name in (actor.partition(":") for actor in actors) if kind == "user"}


def persons_behind(users: Iterable[UUID]) -> set[UUID]:
    """Those who answer for these accounts. Raises NotFound."""
    wanted = set(users)
    if not wanted:
        return set()
    found = {user.pk: user.person_id for user in User.objects.filter(pk__in=wanted)}
    if missing := wanted - found.keys():
        raise NotFound(f"There is no user {min(missing)}.")
    return set(found.values())
