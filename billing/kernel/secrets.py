"""Secrets at rest: encrypted under FIELD_ENCRYPTION_KEYS (newest first), never shown.

A column that holds one is an EncryptedField; `manage.py rotate_secrets` finds them by that.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models

MASK = "••••"


def _keys() -> list[Fernet]:
    return [Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS]


def encrypt(value: dict | str) -> str:
    """`value` under the newest key."""
    return MultiFernet(_keys()).encrypt(json.dumps(value).encode()).decode()


def decrypt(token: str) -> dict | str:
    """The value, by whichever key protects it. Raises InvalidToken if none does."""
    return json.loads(MultiFernet(_keys()).decrypt(token.encode()))


def rotate(token: str) -> str:
    """The same value under the newest key; a token that is under it already comes back as it is."""
    return token if is_current(token) else MultiFernet(_keys()).rotate(token.encode()).decode()


def is_current(token: str) -> bool:
    try:
        _keys()[0].decrypt(token.encode())
    except InvalidToken:
        return False
    return True


@dataclass(frozen=True)
class Secret:
    """An encrypted value on its way between a row and the one place that needs it."""

    token: str

    def reveal(self) -> dict | str:
        return decrypt(self.token)

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__


class EncryptedField(models.TextField):
    """Takes a str or dict, stores ciphertext, gives a `Secret` back. In no form, list or export."""

    def __init__(self, *args, **kwargs):
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["editable"]
        return name, path, args, kwargs

    def from_db_value(self, value, expression, connection):
        return Secret(value) if value else value

    def get_prep_value(self, value):
        if isinstance(value, Secret):
            return value.token
        return encrypt(value) if value else value

    def value_to_string(self, obj):
        return MASK


def secret_columns() -> Iterator[tuple[type[models.Model], list[str]]]:
    """Every installed model that holds secrets, with the names of its columns."""
    for model in apps.get_models():
        names = [field.attname for field in model._meta.fields if isinstance(field, EncryptedField)]
        if names:
            yield model, names
