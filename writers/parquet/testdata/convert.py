"""Converts JSON lines to Parquet with DuckDB on one thread and prints the CPU seconds that it took.

Usage: convert.py input.jsonl output.parquet codec columns
"""

import json
import resource
import sys

import duckdb


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


source, target, codec, columns = sys.argv[1:5]
db = duckdb.connect(config={"threads": 1, "preserve_insertion_order": False})
begin = cpu_seconds()
db.execute(
    f"COPY (SELECT * FROM read_json('{source}', format='newline_delimited', columns={columns})) "
    f"TO '{target}' (FORMAT parquet, COMPRESSION {codec})"
)
print(json.dumps({"cpu": cpu_seconds() - begin, "duckdb": duckdb.__version__}))
