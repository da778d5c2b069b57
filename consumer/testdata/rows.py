"""Prints the rows of Parquet files as lines of JSON, in their order, as DuckDB reads them; times without a zone."""
import datetime
import decimal
import json
import sys

import duckdb


def plain(v):
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(v, (datetime.date, decimal.Decimal)):
        return str(v)
    raise TypeError(type(v))


db = duckdb.connect()
db.execute("SET TimeZone='UTC'")
for path in sys.argv[1:]:
    rows = db.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path])
    names = [c[0] for c in rows.description]
    for row in rows.fetchall():
        print(json.dumps(dict(zip(names, row)), default=plain))
