"""Reads every file of a directory with PyArrow and with DuckDB, whose decompression goes by the extension, and prints
for each a line of: engine, file, number of rows, number of distinct event ids, sum of the members "n", sum of the arrivals
in milliseconds since 1970."""

import pathlib
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.json

db = duckdb.connect()
db.execute("SET threads = 1")
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    table = pyarrow.json.read_json(path, read_options=pyarrow.json.ReadOptions(use_threads=False))
    ids = pc.count_distinct(table["event_id"]).as_py()
    arrivals = pc.sum(pc.cast(pc.cast(table["_arrived_at"], pyarrow.timestamp("ms", "UTC")), pyarrow.int64())).as_py()
    print("pyarrow", path.name, table.num_rows, ids, pc.sum(table["n"]).as_py(), arrivals)
    row = db.execute(
        "SELECT count(*), count(DISTINCT event_id), sum(n), sum(epoch_ms(_arrived_at::TIMESTAMP)) FROM read_json(?, format = 'newline_delimited')", [str(path)]
    ).fetchone()
    print("duckdb", path.name, *row)
