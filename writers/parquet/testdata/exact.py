"""Compares JSON documents with the Parquet files that were made of them, value by value, and prints for each file how many
values are equal, are doubles that do not give the number back but are the nearest, lie in _extra, or are wrong, with the first
that is wrong, and how many documents were refused.

Usage: exact.py documents.jsonl (file.parquet engine)...

The engine is pyarrow or duckdb. Documents that are not in the file, by their event_id, were refused: they must have a value
that its column, by the types of the file, cannot hold. The column t holds JSON text.
"""

import decimal
import json
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

EXACT = decimal.Context(prec=1200, rounding=decimal.ROUND_HALF_EVEN, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX)


class Number(str):
    """A JSON number as it is written."""


def parse(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def gives_back(double, number):
    if repr(double) == number:
        return True
    want = decimal.Decimal(number)
    if not want.is_zero():
        # Without the zeros that end a fraction, whose last digit says nothing.
        digits, _, exponent = number.lower().partition("e")
        if "." in digits:
            digits = digits.rstrip("0").rstrip(".")
        want = decimal.Decimal(digits + ("e" + exponent if exponent else ""))
    if want.is_zero():
        return double == 0
    if not -400 < want.adjusted() < 400:
        return False
    last = decimal.Decimal((0, (1,), want.as_tuple().exponent))
    return EXACT.quantize(decimal.Decimal(double), last) == want


def equal(value, want, pointer):
    if pointer == "/t":
        value = parse(value)
    if type(want) is not Number or type(value) is Number:
        return value == want and type(value) is type(want)
    if isinstance(value, float):
        return gives_back(value, want)
    return type(value) in (int, decimal.Decimal) and decimal.Decimal(value) == decimal.Decimal(want)


def fits(want, kind):
    """Whether a declared column takes a value; nulls and what has no column are always taken."""
    if want is None or kind is None:
        return True
    if pa.types.is_struct(kind):
        names = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return isinstance(want, dict) and all(fits(v, names.get(k)) for k, v in want.items())
    if pa.types.is_list(kind):
        return isinstance(want, list) and all(fits(v, kind.value_type) for v in want)
    if pa.types.is_string(kind):
        return type(want) is str
    if type(want) is not Number:
        return False
    exact = decimal.Decimal(want)
    if pa.types.is_float64(kind):
        double = float(want)
        return abs(double) != float("inf") and (double != 0 or exact.is_zero())
    if exact.is_zero():
        return True
    if exact.adjusted() > 40 or exact.normalize(EXACT).as_tuple().exponent < -40:
        return False
    if pa.types.is_int64(kind):
        return exact == exact.to_integral_value() and -(2**63) <= exact < 2**63
    scaled = exact.scaleb(kind.scale, EXACT)
    return scaled == scaled.to_integral_value(context=EXACT) and abs(scaled) < 10**kind.precision


class Check:
    def __init__(self):
        self.equal, self.rounded, self.extra, self.refused, self.wrong, self.first = 0, 0, 0, 0, 0, ""

    def fault(self, where):
        self.wrong += 1
        self.first = self.first or where

    def value(self, value, want, kind, extra, pointer):
        """Compares a column's value, that may be missing from it, with that of the document."""
        if isinstance(want, dict) and value is not None and pa.types.is_struct(kind):
            for name, inner in want.items():
                i = kind.get_field_index(name)
                self.value(value.get(name), inner, kind.field(i).type if i >= 0 else pa.null(), extra, f"{pointer}/{name}")
        elif isinstance(want, list) and value is not None and pa.types.is_list(kind) and len(value) == len(want):
            for i, inner in enumerate(want):
                self.value(value[i], inner, kind.value_type, extra, f"{pointer}/{i}")
        elif value is not None and equal(value, want, pointer):
            self.equal += 1
        elif isinstance(value, float) and type(want) is Number and float(want) == value:
            self.rounded += 1
        else:
            name = pointer if pointer.count("/") > 1 else pointer[1:]
            if value is None and name in extra and extra.pop(name) == want:
                self.extra += 1
            elif value is want is None:
                self.equal += 1
            else:
                self.fault(f"{pointer}: {want!r} is {value!r}")

    def file(self, documents, table):
        kinds = {f.name: f.type for f in table.schema}
        rows = {row["event_id"]: row for row in table.to_pylist()}
        for i, document in enumerate(documents):
            row = rows.pop(str(i), None)
            if row is None:
                self.refused += 1
                if all(fits(v, kinds.get(k)) for k, v in document.items()):
                    self.fault(f"refused without a reason: {document}")
                continue
            extra = parse(row["_extra"]) if row["_extra"] else {}
            for name, want in document.items():
                self.value(row.get(name), want, kinds.get(name, pa.null()), extra, f"/{name}")
            for name, kind in kinds.items():
                if name not in document and name not in ("event_id", "_extra") and row[name] is not None:
                    self.fault(f"{name}: {row[name]!r} is not in {document}")
            if extra:
                self.fault(f"_extra has {extra}, and {document} has not")
        if rows:
            self.fault(f"{len(rows)} rows of no document")


def read(path, engine):
    if engine == "pyarrow":
        return pq.read_table(path, use_threads=False)
    db = duckdb.connect()
    db.execute("SET threads = 1")
    return db.sql(f"SELECT * FROM '{path}'").to_arrow_table()


with open(sys.argv[1], encoding="utf-8") as lines:
    documents = [parse(line) for line in lines]
for path, engine in zip(*[iter(sys.argv[2:])] * 2):
    check = Check()
    check.file(documents, read(path, engine))
    print(
        f"{engine}: {check.equal} equal, {check.rounded} rounded, {check.extra} in _extra, {check.wrong} wrong, "
        f"{check.refused} documents refused {check.first:.300}"
    )
