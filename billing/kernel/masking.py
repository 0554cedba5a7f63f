"""Text that may be logged: what looks like a secret is masked."""

import re

MASK = "••••"
_NAMES = r"[\w.-]*(?:token|secret|passw(?:or)?d|api[_-]?key|signature|authorization|assertion|client_id|code)[\w.-]*"
_PATTERNS = [
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {MASK}"),
    (re.compile(rf"""(?i)(["']?\b{_NAMES}["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s&,;}}]+)"""), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk|rk|pk|whsec|ebk|ghp)_\w{6,}"), MASK),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),  # a JSON web token
]


def masked(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
