"""Converts a file of JSON lines to a Parquet file with Polars or DuckDB, on one thread.

Arguments: polars or duckdb, source, target, and the columns as a JSON object of names and DuckDB's types.
"""
import json
import sys

program, source, target, columns = sys.argv[1:]
columns = json.loads(columns)
if program == "polars":
    import polars

    types = {"VARCHAR": polars.String, "BIGINT": polars.Int64, "DOUBLE": polars.Float64, "BOOLEAN": polars.Boolean, "TIMESTAMP": polars.String}
    rows = polars.scan_ndjson(source, schema={name: types[kind] for name, kind in columns.items()})
    times = [polars.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ") for name, kind in columns.items() if kind == "TIMESTAMP"]
    rows.with_columns(times).sink_parquet(target, compression="snappy")
else:
    import duckdb

    duckdb.sql("SET threads = 1")
    duckdb.sql("SET preserve_insertion_order = false")  # "Performance Guide: Tuning Workloads" of its documentation
    duckdb.read_json(source, columns=columns, format="newline_delimited").write_parquet(target, compression="snappy")
