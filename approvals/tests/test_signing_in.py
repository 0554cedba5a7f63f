"""A decision needs a sign-in of the last fifteen minutes, or the password."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.states import RequestState
from approvals.tests.makers import asks, make_approver, make_request
from billing.access.sessions import SIGNED_IN_AT
from billing.access.tests.makers import PASSWORD
from billing.entities.tests.makers import make_entity

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/approvals/requests/"


@pytest.fixture
def boss():
    return make_approver(make_entity())


@pytest.fixture
def request_(boss):
    return make_request(boss.grants.get().entity, asks(boss))


def signed_in_ago(user, **ago) -> None:
    user.last_login = timezone.now() - timedelta(**ago)
    user.save(update_fields=["last_login"])


@pytest.mark.parametrize(
    ("ago", "status"), [({"minutes": 14}, 200), ({"minutes": 15}, 403), ({"days": 1}, 403)]
)
def test_over_the_api_the_sign_in_is_recent(api, boss, request_, ago, status):
    signed_in_ago(boss, **ago)
    for path, body in (
        ("bulk-approve", {"items": [{"request": str(request_.pk), "digest": request_.digest}]}),
        (f"{request_.pk}/process", {"action": "reject", "digest": request_.digest, "comment": "x"}),
    ):
        answer = api(boss).post(
            f"{API}{path}", body, format="json", headers={"Idempotency-Key": str(uuid4())}
        )
        if status == 403:
            assert (answer.status_code, answer.json()["code"]) == (403, "sign-in-again")
    request_.refresh_from_db()
    assert request_.state == (RequestState.APPROVED if status == 200 else RequestState.PENDING)


def test_who_never_signed_in_decides_nothing_but_comments(api, boss, request_):
    boss.last_login = None
    boss.save(update_fields=["last_login"])
    address, headers = f"{API}{request_.pk}/process", {"Idempotency-Key": str(uuid4())}
    said = api(boss).post(address, {"action": "comment", "comment": "later"}, format="json", headers=headers)
    assert said.status_code == 200


def test_in_the_console_the_password_is_enough_and_a_wrong_one_is_not(boss, request_):
    browser = Client()
    browser.force_login(boss, backend="billing.entities.backends.GrantBackend")
    address = reverse("admin:approvals_inboxrequest_action_approve", args=[request_.pk])

    def press(password: str) -> str:
        """An hour after he signed in here, and just after he did so elsewhere."""
        signed_in_ago(boss, minutes=0)
        session_of(browser, timezone.now() - timedelta(hours=1))
        given = {"confirm": "1", "once": uuid4().hex, "comment": "", "password": password}
        answer = browser.post(address, given, follow=True)
        request_.refresh_from_db()
        boss.refresh_from_db()
        return answer.content.decode()

    assert "give your password" in press("")
    assert "give your password" in press("not it")
    assert request_.state == RequestState.PENDING
    press(PASSWORD)
    assert request_.state == RequestState.APPROVED
    assert timezone.now() - boss.last_login < timedelta(minutes=1)
    noted = datetime.fromisoformat(browser.session[SIGNED_IN_AT])
    assert timezone.now() - noted < timedelta(minutes=1)


def session_of(browser: Client, signed_in) -> None:
    session = browser.session
    session.pop(SIGNED_IN_AT, None)
    if signed_in is not None:
        session[SIGNED_IN_AT] = signed_in.isoformat()
    session.save()


@pytest.mark.parametrize(
    ("minutes", "status"), [(0, 200), (14, 200), (15, 403), (None, 403)], ids=["now", "14", "15", "unknown"]
)
def test_a_session_is_as_fresh_as_its_own_sign_in(boss, request_, minutes, status):
    """Over the API, too; a sign-in elsewhere does not count, nor does one long ago of an account."""
    browser = Client()
    browser.force_login(boss, backend="billing.entities.backends.GrantBackend")
    if minutes is None:
        session_of(browser, None)
    elif minutes:
        session_of(browser, timezone.now() - timedelta(minutes=minutes))
    else:
        signed_in_ago(boss, days=1)

    answer = browser.post(
        f"{API}{request_.pk}/process",
        {"action": "approve", "digest": request_.digest},
        content_type="application/json",
        headers={"Idempotency-Key": str(uuid4())},
    )

    assert answer.status_code == status
    request_.refresh_from_db()
    assert request_.state == (RequestState.APPROVED if status == 200 else RequestState.PENDING)
