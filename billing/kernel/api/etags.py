"""Entity tags. The tag of an object is its version, which a trigger raises with every change."""

import re

from rest_framework.response import Response

from billing.kernel.api.errors import MalformedPrecondition, PreconditionRequired

TAG = re.compile(r'"([1-9][0-9]{0,9})"', re.ASCII)


def tag_of(instance: object) -> str | None:
    version = getattr(instance, "version", None)
    return f'"{version}"' if isinstance(version, int) else None


def expected_version(request, *, required: bool) -> int | None:
    """The version the writer has seen; None if it did not say, or said that any will do (`*`)."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        if required:
            raise PreconditionRequired("Read the object and send its ETag back as If-Match.")
        return None
    if header == "*":
        return None
    match = TAG.fullmatch(header)
    if not match:
        raise MalformedPrecondition("If-Match takes one tag, as the ETag header gave it.")
    return int(match[1])


def tagged(response: Response, instance: object) -> Response:
    tag = tag_of(instance)
    if tag:
        response["ETag"] = tag
    return response


def not_modified(request, instance: object) -> Response | None:
    """304 if the reader has this version already. If-None-Match compares weakly (RFC 9110 §13.1.2)."""
    tag = tag_of(instance)
    return tagged(Response(status=304), instance) if tag and has_tag(request, tag) else None


def has_tag(request, tag: str) -> bool:
    """Does the reader say it has what this tag is of?"""
    known = {part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")}
    return bool(known & {tag, "*"})
