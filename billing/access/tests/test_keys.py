"""Keys: made once, shown once, refused for every reason there is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.access import services
from billing.access.errors import KeyEnded, KeyRefused, NotAServiceAccount, UnknownScope
from billing.access.models import ApiKey
from billing.access.tests.makers import make_key, make_user
from billing.kernel.errors import Invalid
from billing.kernel.models import AuditEntry

pytestmark = pytest.mark.django_db


def use(text, ip="203.0.113.7"):
    return services.use_key(presented=text, ip=ip)


def test_a_key_works_and_only_its_hash_is_kept():
    key, text = make_key()

    assert use(text) == key
    key.refresh_from_db()
    assert key.last_used_ip == "203.0.113.7"
    assert text.rpartition("_")[2] not in str(ApiKey.objects.values().get())
    assert not AuditEntry.objects.filter(after__has_key="secret_hash").exists()


def test_a_use_is_noted_once_a_minute(freeze):
    now = timezone.now()
    freeze(now)
    _, text = make_key()
    for seconds, noted in ((0, 0), (59, 0), (61, 61)):
        freeze(now + timedelta(seconds=seconds))
        use(text)
        assert ApiKey.objects.get().last_used_at == now + timedelta(seconds=noted)


def expired(key, freeze):
    freeze(key.expires_at)


def revoked(key, freeze):
    services.revoke_key(actor="command:test", key_id=key.pk, reason="lost")


def account_off(key, freeze):
    services.deactivate_user(actor="command:test", user_id=key.user_id, reason="over")


def owner_off(key, freeze):
    services.deactivate_user(actor="command:test", user_id=key.user.owner_id, reason="left")


@pytest.mark.parametrize("ended", [expired, revoked, account_off, owner_off])
def test_a_key_that_has_ended_is_refused(ended, freeze):
    key, text = make_key()
    assert use(text) == key

    ended(key, freeze)

    with pytest.raises(KeyRefused):
        use(text)


@pytest.mark.parametrize("text", ["", "ebk_", "ebk_x_y", "sk_live_abc", "ebk_{prefix}_wrong"])
def test_what_is_not_a_key_of_ours_is_refused(text):
    key, _ = make_key()

    with pytest.raises(KeyRefused):
        use(text.format(prefix=key.prefix))


@pytest.mark.parametrize("ip", ["198.51.100.1", "", "not an address", "2001:db8::1"])
def test_a_key_is_refused_from_elsewhere(ip):
    _, text = make_key(allowed_networks=["203.0.113.0/24"])
    assert use(text)

    with pytest.raises(KeyRefused):
        use(text, ip=ip)


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"scopes": ["everything"]}, UnknownScope),
        ({"scopes": []}, UnknownScope),
        ({"allowed_networks": ["here"]}, Invalid),
        ({"expires_at": timezone.now() - timedelta(days=1)}, Invalid),
        ({"expires_at": timezone.now() + timedelta(days=400)}, Invalid),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(overrides, error):
    with pytest.raises(error):
        make_key(**overrides)

    assert not ApiKey.objects.exists()


def test_a_person_has_no_key():
    with pytest.raises(NotAServiceAccount):
        make_key(user=make_user())

    assert not ApiKey.objects.exists()


def test_a_rotated_key_works_beside_the_new_one_for_a_while(freeze):
    now = timezone.now()
    old, old_text = make_key()
    new, new_text = services.rotate_key(
        actor="command:test",
        key_id=old.pk,
        expires_at=now + timedelta(days=90),
        overlap=timedelta(hours=1),
    )
    assert (use(old_text), use(new_text)) == (old, new)
    assert new.scopes == old.scopes

    freeze(now + timedelta(hours=2))

    with pytest.raises(KeyRefused):
        use(old_text)
    assert use(new_text) == new
    with pytest.raises(KeyEnded):
        services.rotate_key(actor="command:test", key_id=old.pk, expires_at=now + timedelta(days=9))
