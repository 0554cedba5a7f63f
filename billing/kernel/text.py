"""What one line of text may hold."""

import unicodedata

DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNSEEN = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


def is_unseen(sign: str) -> bool:
    """A control character, a line break, or one that turns the direction of what follows."""
    return unicodedata.category(sign) in UNSEEN or sign in DIRECTION_OVERRIDES


def is_one_line(text: str) -> bool:
    """Something, without white space around it, and without what is not seen."""
    return bool(text) and text == text.strip() and not any(map(is_unseen, text))
