"""Checks that all rows of Parquet files have the partition tuples that the files are described with, by DuckDB's reading of the
files and pyiceberg's transforms. Prints how many files and rows it has checked, how many values were null, and the event ids.

Usage: tuples.py files.json

files.json is a list of {"path", "fields": [{"column", "type", "transform"}], "tuple": [base64 or null]}.
"""

import base64
import decimal
import json
import sys

import duckdb
from pyiceberg.conversions import from_bytes
from pyiceberg.transforms import parse_transform
from pyiceberg.types import DecimalType, IcebergType
from pydantic import TypeAdapter

# What gives pyiceberg's own form of a value.
FORMS = {
    "timestamptz": "epoch_us({})",
    "timestamp": "epoch_us({})",
    "date": "datediff('day', date '1970-01-01', {})",
}

types = TypeAdapter(IcebergType)
db = duckdb.connect()
rows = nulls = 0
ids = []
files = json.load(open(sys.argv[1]))
for file in files:
    columns = [FORMS.get(f["type"], "{}").format(f["column"]) for f in file["fields"]]
    found = db.execute(f"SELECT event_id, {', '.join(columns + ['1'])} FROM read_parquet(?, hive_partitioning=false)", [file["path"]]).fetchall()
    assert found, file["path"] + " is empty"
    for row in found:
        ids.append(row[0])
        for field, value, want in zip(file["fields"], row[1:], file["tuple"] or [], strict=False):
            source = types.validate_python(field["type"])
            transform = parse_transform(field["transform"])
            if isinstance(source, DecimalType) and value is not None:
                value = decimal.Decimal(value)
            got = transform.transform(source)(value)
            if want is not None:
                want = from_bytes(transform.result_type(source), base64.b64decode(want))
            if got != want:
                sys.exit(f"{file['path']}: {field} of {value!r} is {got!r}, the file's tuple has {want!r}")
            nulls += got is None
    rows += len(found)
print(json.dumps({"files": len(files), "rows": rows, "nulls": nulls, "ids": ids}))
