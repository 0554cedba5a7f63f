"""Widths, line breaks and page breaks, computed before anything is set.

A layout engine that is asked where things ended up sets them twice; one that is told sets them once. So lines are
broken here, by the font's own advance widths, rows have fixed heights, and every page is given its rows and the sums
carried to it and from it. Lengths are points (1/72 inch): they decide where things stand, never what they say.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

import typst
from django.conf import settings

TEMPLATES = settings.ROOT / "templates" / "documents"
MM = 72 / 25.4
TEXT_WIDTH, TEXT_HEIGHT = 170 * MM, 247 * MM  # A4 without its margins
LINE, LEADING = 12, 3  # from one baseline to the next; what of it is between two lines
SIDE, PADDING = 4, 4  # left and right of the words of a cell; above and below them
TITLE, HEAD, CARRIED, SUM = (
    40,
    20,
    18,
    18,
)  # heights: the title, a table's head, a carried sum, one of the sums
GUTTER, SPACE = 12 * MM, 4 * MM  # between the parties; between what stands below each other
SUM_COLUMNS = (48 * MM, 50 * MM)
TAX_COLUMNS = (TEXT_WIDTH - 97 * MM, 17 * MM, 46 * MM, 34 * MM)
SMALL, BOLD = 0.8, 1.1  # widths beside those of the text
FILLED = 0.97  # of a width: kerning sets some pairs of letters further apart
UNKNOWN = 1.2  # em, of a character the font lacks
_SIZE = 10
_LENGTHS = {
    "side": SIDE,
    "padding": PADDING,
    "title": TITLE,
    "head": HEAD,
    "carried": CARRIED,
    "sum": SUM,
    "gutter": GUTTER,
    "space": SPACE,
    "leading": LEADING,
    "sums": SUM_COLUMNS,
    "taxes": TAX_COLUMNS,
}


def paged(content: Mapping) -> dict:
    """What the templates need beside `content`: broken lines, widths of columns, and the pages with their rows.

    `content["lines"]` are rows by column key, with "sum" where sums are carried. A column is as wide as its widest
    cell, but for the one that `wraps`, which has what is left.
    """
    columns, lines = content["columns"], content["lines"]
    widths = _widths(columns, lines)
    wrapping = next(index for index, column in enumerate(columns) if column.get("wraps"))
    room = widths[wrapping] - 2 * SIDE
    rows, heights = [], []
    for line in lines:
        cells = [line[column["key"]] for column in columns]
        words = wrapped(cells[wrapping], room)
        below = wrapped(line["below"], room / SMALL) if line.get("below") else ()
        cells[wrapping] = ["\n".join(words), "\n".join(below)]
        rows.append(cells)
        heights.append(height_of(len(words) + len(below)) + 2 * PADDING)

    parties = [_party(content["labels"], content[side], side) for side in ("seller", "customer")]
    facts = _facts(content["facts"])
    taxes = [_tax(tax) for tax in content.get("taxes", [])]
    notes = [list(wrapped(note, TEXT_WIDTH)) for note in content.get("notes", [])]
    top = _top_height(parties, facts)
    closing = _closing_height(content, taxes, notes)
    pages, apart = _pages(heights, first=TEXT_HEIGHT - top, closing=closing)
    sums = [line.get("sum") for line in lines]
    return {
        "parties": parties,
        "facts": facts,
        "taxes": taxes,
        "notes": ["\n".join(note) for note in notes],
        "top_height": top,
        "widths": widths,
        "pages": [
            {
                "rows": rows[start:end],
                "heights": heights[start:end],
                "brought": sums[start - 1] if start else None,
                "carried": sums[end - 1] if end < len(rows) else None,
            }
            for start, end in pages
        ],
        "apart": apart,
        "lengths": _LENGTHS,
    }


def width_of(text: str) -> float:
    """Of the text in one line, at its size."""
    advances = _advances()
    return _SIZE * sum([advances.get(letter, UNKNOWN) for letter in text])


@lru_cache(maxsize=4096)
def wrapped(text: str, width: float) -> tuple[str, ...]:
    """The text in lines no wider than `width`; a word that is wider is divided. At least one line."""
    room, lines = width * FILLED, []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if width_of(longer) <= room:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _divided(word, room)
            lines += full
        lines.append(line)
    return tuple(lines)


def height_of(lines: int) -> float:
    return lines * LINE - LEADING


def _divided(word: str, room: float) -> list[str]:
    parts, part = [], ""
    for letter in word:
        if part and width_of(part + letter) > room:
            parts.append(part)
            part = ""
        part += letter
    return [*parts, part]


def _widths(columns: Sequence[Mapping], lines: Sequence[Mapping]) -> list[float]:
    widths = [
        0.0
        if column.get("wraps")
        else 2 * SIDE
        + max(
            width_of(column["title"]) * BOLD,
            max((width_of(cell) for cell in {line[column["key"]] for line in lines}), default=0) / FILLED,
        )
        for column in columns
    ]
    rest = TEXT_WIDTH - sum(widths)
    return [width or rest for width in widths]


def _party(labels: Mapping, who: Mapping, side: str) -> dict:
    width = (TEXT_WIDTH - GUTTER) / 2
    details = [f"{labels['tax_id']} {who['tax_id']}"] if who["tax_id"] else []
    details += [who["email"]] if who["email"] else []
    name, address = wrapped(who["name"], width / BOLD), _all_wrapped(who["address"], width)
    details = _all_wrapped(details, width / SMALL)
    return {
        "title": labels[side],
        "name": "\n".join(name),
        "address": address,
        "details": details,
        "height": 1 + len(name) + len(address) + len(details),
    }


def _facts(facts: Iterable[tuple[str, str]]) -> list[dict]:
    """Pairs of label and value beside each other, the last one half wider than the others."""
    facts = list(facts)
    share = (TEXT_WIDTH - (len(facts) - 1) * SPACE) / (len(facts) + 0.5)
    widths = [share] * (len(facts) - 1) + [1.5 * share]
    return [
        {"label": label, "value": list(wrapped(value, width)), "width": width}
        for (label, value), width in zip(facts, widths, strict=True)
    ]


def _top_height(parties: Sequence[Mapping], facts: Sequence[Mapping]) -> float:
    names = height_of(max(party["height"] for party in parties))
    values = height_of(1 + max(len(fact["value"]) for fact in facts)) + 2 * PADDING
    return TITLE + names + SPACE + values + SPACE


def _tax(tax: Mapping) -> dict:
    room = TAX_COLUMNS[0] - 2 * SIDE
    words = wrapped(tax["category"], room)
    reason = wrapped(tax["reason"], room / SMALL) if tax["reason"] else ()
    height = height_of(len(words) + len(reason)) + 2 * PADDING
    return {**tax, "category": "\n".join(words), "reason": "\n".join(reason), "height": height}


def _closing_height(content: Mapping, taxes: Sequence[Mapping], notes: Sequence[Sequence]) -> float:
    heights = [len(content["sums"]) * SUM]
    heights += [HEAD + SPACE + len(content["ageing"]) * SUM] if content.get("ageing") else []
    heights += [HEAD + len(content["dues"]) * SUM] if content.get("dues") else []
    heights += [HEAD + sum(tax["height"] for tax in taxes)] if taxes else []
    heights += [height_of(len(note)) for note in notes]
    return sum(height + SPACE for height in heights if height)


def _pages(heights: Sequence[float], *, first: float, closing: float) -> tuple[list[tuple[int, int]], bool]:
    """Which rows stand on each page, as half-open ranges, and whether what closes needs a page of its own.

    Every page keeps room for the sum carried from it, so that any row may be its last.
    """
    pages, start, left = [], 0, first - HEAD - CARRIED
    for index, height in enumerate(heights):
        if height > left and index > start:
            pages.append((start, index))
            start, left = index, TEXT_HEIGHT - HEAD - 2 * CARRIED
        left -= height
    return [*pages, (start, len(heights))], closing > left + CARRIED


def _all_wrapped(texts: Iterable[str], width: float) -> list[str]:
    return [line for text in texts for line in wrapped(text, width)]


@cache
def _advances() -> Mapping[str, float]:
    """Width of each character in em, asked of the font once per process."""
    compiler = typst.Compiler(str(TEMPLATES / "advances.typ"), root=str(TEMPLATES), ignore_system_fonts=True)
    by_code = json.loads(compiler.query("<advances>", field="value", one=True))
    return {chr(int(code)): advance for code, advance in by_code.items()}
