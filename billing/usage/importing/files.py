"""Opening a file of usage: what cannot be read to its end is refused before anything changes."""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from billing.usage import rows
from billing.usage.errors import UnusableFile

CHUNK = 1 << 20
LINE_LENGTH_MAX = 1 << 20
OPTIONAL_COLUMNS = {"quantity", "cost", "currency", "department", "billed_on", "properties", "subscription"}
FOCUS_COLUMNS = {
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ProviderName",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A record of the file; `fault` says why it is none. `number` is that of its last line."""

    number: int
    values: dict
    fault: str = ""


def require_utf8(file: BinaryIO) -> int:
    """Read the file through once. Its length in bytes. Raises UnusableFile if it is empty or no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    length = 0
    file.seek(0)
    while chunk := file.read(CHUNK):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise UnusableFile(f"The file is not UTF-8 near byte {length + error.start}.") from None
        length += len(chunk)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UnusableFile("The file ends in the middle of a character.") from None
    if not length:
        raise UnusableFile("The file is empty.")
    return length


def csv_lines(file: BinaryIO, *, required: set[str], optional: set[str] | None) -> Iterator[Line]:
    """The records of a CSV file with a header. `optional` None: any further columns.

    Raises UnusableFile for a header that is not what it should be, or a record no CSV reader understands.
    """
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        reader = csv.reader(text, strict=True)
        header = next(reader, [])
        _require_header(header, required, optional)
        for record in reader:
            if not record:
                continue
            fault = "" if len(record) == len(header) else f"{len(record)} values for {len(header)} columns."
            yield Line(reader.line_num, dict(zip(header, record, strict=False)), fault)
    except csv.Error as error:
        raise UnusableFile(f"Line {reader.line_num}: {error}.") from None
    finally:
        text.detach()


def json_lines(file: BinaryIO) -> Iterator[Line]:
    """The objects of a file with one JSON object per line."""
    file.seek(0)
    number = 0
    while line := file.readline(LINE_LENGTH_MAX + 1):
        number += 1
        if len(line) > LINE_LENGTH_MAX:
            raise UnusableFile(f"Line {number} is longer than {LINE_LENGTH_MAX} bytes.")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        if text:
            yield _json_line(number, text)


def require_object(line: Line) -> None:
    """Raises UnusableFile if the first line is not a JSON object: then this is no such file."""
    if line.fault:
        raise UnusableFile(f"Line {line.number}: {line.fault}")


def _json_line(number: int, text: str) -> Line:
    try:
        value = json.loads(text, parse_float=Decimal, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return Line(number, {}, f"Not JSON: {error}"[:200])
    return Line(number, value) if isinstance(value, dict) else Line(number, {}, "Must be a JSON object.")


def _unique(pairs: list[tuple[str, object]]) -> dict:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _require_header(header: list[str], required: set[str], optional: set[str] | None) -> None:
    given = set(header)
    if missing := sorted(required - given):
        raise UnusableFile(f"The header lacks: {', '.join(missing)}.", missing=missing)
    if optional is not None and (unknown := sorted(given - required - optional)):
        raise UnusableFile(f"The header has unknown columns: {', '.join(unknown)[:200]}.")
    if len(given) != len(header):
        raise UnusableFile("The header names a column twice.")


def csv_row(values: Mapping[str, str]) -> dict:
    """A record of our own CSV format as the API would give it. Empty means not given."""
    row: dict[str, object] = {name: text for name, text in values.items() if text != ""}
    if "properties" in row:
        try:
            row["properties"] = json.loads(row["properties"], parse_float=Decimal, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            raise rows.Malformed({"properties": "Must be a JSON object."}) from None
    return row
