"""Writes the same rows as Parquet files of several kinds into a directory, with PyArrow and with DuckDB."""

import datetime
import decimal
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

UTC = datetime.timezone.utc
KIND = pa.schema([
    ("id", pa.int64()),
    ("at", pa.timestamp("us", "UTC")),
    ("day", pa.date32()),
    ("price", pa.decimal128(22, 2)),
    ("small", pa.decimal128(5, 1)),
    ("name", pa.string()),
    ("tags", pa.list_(pa.string())),
    ("way", pa.list_(pa.list_(pa.float64()))),
    ("counts", pa.map_(pa.string(), pa.int64())),
    ("inner", pa.struct([("a", pa.int32()), ("b", pa.list_(pa.struct([("c", pa.string())])))])),
    ("single", pa.float32()),
    ("ok", pa.bool_()),
    ("large", pa.uint64()),
])


def row(n):
    """Row n, like that of the test's record n."""
    if n % 10 == 9:
        return {"id": n}
    return {
        "id": n,
        "at": datetime.datetime(2026, 3, 14, 9, n // 60 % 60, n % 60, 120_000, UTC),
        "day": datetime.date(2026, 3, 1 + n % 28),
        "price": decimal.Decimal(n * 1001) / 100,
        "small": decimal.Decimal(n % 1000) / -10,
        "name": f'caf\u00e9 "{n}"',
        "tags": [None, "x", f"{n}y"][: n % 4],
        "way": [[-8.618643, 41.1], [], [n / 8]],
        "counts": [("a", n), ("b c", None)][: n % 3],
        "inner": {"a": None if n % 2 else n, "b": [{"c": "d"}, {"c": None}, None][: n % 4]},
        "single": n / 10,
        "ok": n % 2 == 0,
        "large": 2**63 + n,
    }


def main(directory, count):
    directory = pathlib.Path(directory)
    table = pa.Table.from_pylist([row(n) for n in range(count)], schema=KIND)
    pq.write_table(table, directory / "plain", row_group_size=97)
    pq.write_table(table, directory / "hive", use_deprecated_int96_timestamps=True, use_compliant_nested_type=False, compression="gzip")
    pq.write_table(table, directory / "pages", data_page_version="2.0", use_dictionary=False, compression="zstd", data_page_size=2000)
    pq.write_table(table, directory / "integers", store_decimal_as_integer=True, coerce_timestamps="ms")
    connection = duckdb.connect()
    connection.register("rows", table)
    connection.execute(f"COPY rows TO '{directory / 'duckdb'}' (FORMAT parquet)")


main(sys.argv[1], int(sys.argv[2]))
