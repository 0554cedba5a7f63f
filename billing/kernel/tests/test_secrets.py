from io import StringIO

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.forms import modelform_factory
from django.test.utils import isolate_apps

from billing.kernel import rotation, secrets
from billing.kernel.secrets import MASK, EncryptedField, Secret, decrypt, encrypt, is_current, rotate

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture(autouse=True)
def old_key(settings):
    settings.FIELD_ENCRYPTION_KEYS = [OLD]


@pytest.fixture
def vault(db, monkeypatch):
    """A table with a secret, for this test only: the real ones belong to the apps above."""
    with isolate_apps("billing.kernel") as registry:

        class Vault(models.Model):
            label = models.CharField(max_length=20)
            secret = EncryptedField(null=True)

            class Meta:
                app_label = "kernel"

        monkeypatch.setattr(secrets, "apps", registry)
        with connection.schema_editor() as editor:
            editor.create_model(Vault)
        yield Vault


def stored(vault) -> list[str | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM kernel_vault ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("value", ["whsec_1", "ünï", {"token": "t", "nested": {"n": [1, None]}}, {}])
def test_what_is_encrypted_comes_back_and_does_not_show(value):
    token = encrypt(value)

    assert decrypt(token) == value
    assert "whsec" not in token
    assert encrypt(value) != token  # equal secrets do not look equal


def test_without_the_key_there_is_no_secret(settings):
    token = encrypt("x")
    settings.FIELD_ENCRYPTION_KEYS = [NEW]

    with pytest.raises(InvalidToken):
        decrypt(token)


def test_rotating_brings_a_token_under_the_newest_key_and_then_leaves_it_alone(settings):
    token = encrypt("x")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert not is_current(token)

    renewed = rotate(token)

    assert is_current(renewed)
    assert rotate(renewed) == renewed
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert decrypt(renewed) == "x"


def test_a_secret_shows_itself_to_nobody_by_accident():
    secret = Secret(encrypt("whsec_1"))

    assert str(secret) == repr(secret) == f"{secret}" == MASK
    assert secret.reveal() == "whsec_1"


def test_a_column_keeps_ciphertext_and_gives_a_secret_back(vault):
    row = vault.objects.create(label="a", secret={"token": "t-1"})
    vault.objects.create(label="b", secret=None)

    [token, nothing] = stored(vault)

    assert "t-1" not in token
    assert nothing is None
    read = vault.objects.get(pk=row.pk)
    assert read.secret.reveal() == {"token": "t-1"}
    read.save()  # saving what was read does not encrypt it twice
    assert stored(vault)[0] == token


def test_a_column_is_in_no_form_and_no_export(vault):
    row = vault.objects.create(label="a", secret="t-1")

    assert list(modelform_factory(vault, fields="__all__")().fields) == ["label"]
    exported = serializers.serialize("json", [vault.objects.get(pk=row.pk)], ensure_ascii=False)
    assert MASK in exported
    assert stored(vault)[0] not in exported


def rotate_command(*arguments) -> str:
    out = StringIO()
    call_command("rotate_secrets", *arguments, stdout=out, stderr=out)
    return out.getvalue().strip()


def test_every_stored_secret_is_rotated_once_and_a_dry_run_changes_nothing(vault, settings, monkeypatch):
    monkeypatch.setattr(rotation, "ROWS_PER_BATCH", 2)
    for number in range(5):
        vault.objects.create(label=str(number), secret=f"s-{number}")
    vault.objects.create(label="empty", secret=None)
    before = stored(vault)
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    assert rotate_command("--dry-run") == "rotated=5 current=0 unreadable=0 dry_run=True"
    assert stored(vault) == before
    assert rotate_command() == "rotated=5 current=0 unreadable=0 dry_run=False"
    after = stored(vault)
    assert rotate_command() == "rotated=0 current=5 unreadable=0 dry_run=False"
    assert stored(vault) == after

    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert [row.secret.reveal() for row in vault.objects.order_by("id")[:5]] == [f"s-{n}" for n in range(5)]


def test_an_interrupted_rotation_goes_on_where_it_stopped(vault, settings, monkeypatch):
    monkeypatch.setattr(rotation, "ROWS_PER_BATCH", 1)
    for number in range(3):
        vault.objects.create(label=str(number), secret=f"s-{number}")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    def interrupt(rows):
        if is_current(stored(vault)[1]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate_secrets(tick=interrupt)

    tally = rotation.rotate_secrets()
    assert (tally.current, tally.rotated) == (2, 1)


def test_a_secret_under_a_lost_key_is_named_and_the_others_go_on(vault, settings):
    lost = vault.objects.create(label="lost", secret="x")
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    vault.objects.create(label="fine", secret="y")

    with pytest.raises(CommandError, match="a key is missing"):
        rotate_command()
    tally = rotation.rotate_secrets()
    assert (tally.current, tally.unreadable) == (1, [f"kernel_vault {lost.pk} secret"])


def test_a_secret_replaced_during_the_rotation_is_kept(vault, settings, monkeypatch):
    row = vault.objects.create(label="a", secret="old")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    def rotated_while_someone_writes(token):
        vault.objects.filter(pk=row.pk).update(secret="new")
        return secrets.rotate(token)

    monkeypatch.setattr(rotation, "rotate", rotated_while_someone_writes)
    rotation.rotate_secrets()

    assert vault.objects.get(pk=row.pk).secret.reveal() == "new"


def test_secret_columns_are_found_among_the_installed_models(vault):
    assert list(secrets.secret_columns()) == [(vault, ["secret"])]
    assert not any(model.__name__ == "Vault" for model in apps.get_models())


def test_a_made_key_can_be_used(settings):
    out = StringIO()
    call_command("make_encryption_key", stdout=out)
    settings.FIELD_ENCRYPTION_KEYS = [out.getvalue().strip()]
    assert decrypt(encrypt("x")) == "x"
