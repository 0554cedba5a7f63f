"""Answers the licensed product can check without asking: compact JWS (RFC 7515), Ed25519 (RFC 8037).

The first of LICENSE_SIGNING_KEYS signs, the public halves of all are published. A key's id is the thumbprint of
its public half (RFC 7638), so the same key has the same id wherever it is used.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

TYPE = "license+jwt"  # named, so that no other token of ours can pass for one (RFC 8725, 3.11)


@dataclass(frozen=True)
class SigningKey:
    private: Ed25519PrivateKey
    public: str
    id: str


def new_key() -> str:
    """The text of a new key, for LICENSE_SIGNING_KEYS."""
    return encoded(Ed25519PrivateKey.generate().private_bytes_raw())


def sign(claims: Mapping[str, object]) -> str:
    """The claims as a token under the first key."""
    header = {"alg": "EdDSA", "kid": current_key_id(), "typ": TYPE}
    return sign_parts(_json(header), _json(claims), _keys()[0])


def sign_parts(header: bytes, payload: bytes, key: SigningKey) -> str:
    signed = f"{encoded(header)}.{encoded(payload)}"
    return f"{signed}.{encoded(key.private.sign(signed.encode()))}"


def current_key_id() -> str:
    return _keys()[0].id


def public_keys() -> list[dict[str, str]]:
    """What verifies our tokens, as members of a JWK set (RFC 7517)."""
    return [
        {"kty": "OKP", "crv": "Ed25519", "x": key.public, "kid": key.id, "use": "sig", "alg": "EdDSA"}
        for key in _keys()
    ]


@cache
def read_key(text: str) -> SigningKey:
    """A key from its 32 secret bytes, as base64url without padding (the `d` of a JWK)."""
    private = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(text + "="))
    public = encoded(private.public_key().public_bytes_raw())
    return SigningKey(
        private, public, encoded(sha256(_json({"crv": "Ed25519", "kty": "OKP", "x": public})).digest())
    )


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _keys() -> list[SigningKey]:
    return [read_key(text) for text in settings.LICENSE_SIGNING_KEYS]


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
