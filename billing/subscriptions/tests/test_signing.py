"""Tokens as the standards have them, so that any library of the field reads them."""

import json
from base64 import urlsafe_b64decode
from io import StringIO

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import call_command

from billing.subscriptions import signing

# RFC 8037, appendices A.1 to A.4.
RFC_SECRET = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
RFC_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
OTHER_SECRET = "b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXktMDA"


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verified(token: str, keys: list[dict]) -> dict:
    """The claims, as a product checks them that has nothing but the published keys. Raises InvalidSignature."""
    header, payload, signature = token.split(".")
    kid = json.loads(decoded(header))["kid"]
    public = next(key["x"] for key in keys if key["kid"] == kid)
    Ed25519PublicKey.from_public_bytes(decoded(public)).verify(
        decoded(signature), f"{header}.{payload}".encode()
    )
    return json.loads(decoded(payload))


def test_signs_the_example_of_the_standard_as_the_standard_does():
    key = signing.read_key(RFC_SECRET)

    assert (key.public, key.id) == (RFC_PUBLIC, RFC_THUMBPRINT)
    assert signing.sign_parts(b'{"alg":"EdDSA"}', b"Example of Ed25519 signing", key) == RFC_TOKEN


def test_the_first_key_signs_and_all_are_published(settings):
    settings.LICENSE_SIGNING_KEYS = [RFC_SECRET, OTHER_SECRET]
    token = signing.sign({"valid": True})

    first, second = signing.public_keys()

    assert json.loads(decoded(token.split(".")[0])) == {
        "alg": "EdDSA",
        "kid": RFC_THUMBPRINT,
        "typ": "license+jwt",
    }
    assert first == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": RFC_PUBLIC,
        "kid": RFC_THUMBPRINT,
        "use": "sig",
        "alg": "EdDSA",
    }
    assert second["kid"] != first["kid"]
    assert RFC_SECRET not in json.dumps([first, second])


def test_a_token_outlives_the_rotation_of_its_key(settings):
    settings.LICENSE_SIGNING_KEYS = [RFC_SECRET]
    token = signing.sign({"valid": True})

    settings.LICENSE_SIGNING_KEYS = [OTHER_SECRET, RFC_SECRET]
    assert verified(token, signing.public_keys()) == {"valid": True}
    assert signing.current_key_id() != RFC_THUMBPRINT

    settings.LICENSE_SIGNING_KEYS = [OTHER_SECRET]
    with pytest.raises(StopIteration):
        verified(token, signing.public_keys())


def test_a_changed_byte_is_refused_wherever_it_is(settings):
    settings.LICENSE_SIGNING_KEYS = [RFC_SECRET]
    token = signing.sign({"holder": "ada@example.com", "valid": False})
    header, payload, signature = (bytearray(decoded(part)) for part in token.split("."))
    public = Ed25519PublicKey.from_public_bytes(decoded(RFC_PUBLIC))

    def passes(*parts: bytes) -> bool:
        one, two, three = map(signing.encoded, parts)
        try:
            public.verify(decoded(three), f"{one}.{two}".encode())
        except InvalidSignature:
            return False
        return True

    assert passes(header, payload, signature)
    accepted = 0
    for part in (header, payload, signature):
        for place in range(len(part)):
            part[place] ^= 1
            accepted += passes(header, payload, signature)
            part[place] ^= 1
    assert accepted == 0
    assert passes(header, payload, signature)


def test_make_license_key_prints_a_key_that_signs(settings):
    out = StringIO()
    call_command("make_license_key", stdout=out)

    settings.LICENSE_SIGNING_KEYS = [out.getvalue().strip()]

    assert len(settings.LICENSE_SIGNING_KEYS[0]) == 43
    assert verified(signing.sign({"valid": True}), signing.public_keys()) == {"valid": True}
