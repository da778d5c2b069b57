"""Counts records, distinct event ids and distinct trips in files of JSON lines with DuckDB."""

import json
import sys

import duckdb

db = duckdb.connect()
db.execute("SET threads = 1")
row = db.execute(
    "SELECT count(*), count(DISTINCT event_id), count(DISTINCT TRIP_ID) FROM read_json(?, format = 'newline_delimited')", [sys.argv[1]]
).fetchone()
print(json.dumps(dict(zip(("Records", "Events", "Trips"), row))))
