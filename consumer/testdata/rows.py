"""Prints the rows of Parquet files as lines of JSON, in their order, as DuckDB reads them; times in UTC, decimals as text."""
import datetime
import decimal
import json
import math
import sys

import duckdb


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, float) and not math.isfinite(v):
        return "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity"
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(v, (datetime.date, decimal.Decimal)):
        return str(v)
    return v


db = duckdb.connect()
db.execute("SET TimeZone='UTC'")
for path in sys.argv[1:]:
    table = db.read_parquet(path, hive_partitioning=False)
    zoned = [c for c, t in zip(table.columns, table.types) if str(t) == "TIMESTAMP WITH TIME ZONE"]  # needs pytz
    rows = table.project(", ".join(f'"{c}" AT TIME ZONE \'UTC\' AS "{c}"' if c in zoned else f'"{c}"' for c in table.columns))
    names = [c[0] for c in rows.description]
    for row in rows.fetchall():
        print(json.dumps({name: plain(v) for name, v in zip(names, row)}))
