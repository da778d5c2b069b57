"""Runs queries with DuckDB over the files of a bucket's folder, as Athena runs them over the bucket.

Standard input has the tables (name, files, storage, columns, partitions as a pattern with groups), the queries by name, and cases: the
statements to run before the queries, by name. Each case begins with the tables as in the files. Standard output gets the rows of each query by
case, as JSON. A column is what its type makes of the text in the file, or NULL,
as with the OpenX SerDe.
"""

import json
import sys

import duckdb

TYPES = {"string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER", "boolean": "BOOLEAN", "double": "DOUBLE"}

work = json.load(sys.stdin)
db = duckdb.connect()
db.execute("SET threads = 1; SET TimeZone = 'UTC'")
for t in work["tables"]:
    if t["storage"] == "parquet":
        # Types have to fit as they stand: Athena does not convert those of Parquet.
        have = {name.lower(): kind for name, kind, *_ in db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [t["files"]]).fetchall()}
        for name, kind in t["columns"]:
            if have.get(name) != TYPES[kind]:
                raise SystemExit(f"{t['name']}: {name} is {have.get(name)} in the files and {kind} in the table")
        source = "read_parquet($files, filename = true, hive_partitioning = false)"
    else:
        columns = ", ".join(f"'{source}': 'VARCHAR'" for source in t["sources"])
        source = f"read_json($files, format = 'newline_delimited', columns = {{{columns}}}, filename = true, hive_partitioning = false)"
    columns = [f'TRY_CAST("{name}" AS {TYPES[kind]}) AS "{name}"' for name, kind in t["columns"]]
    for i, (name, kind) in enumerate(t["partitions"], 1):
        columns.append(f"CAST(regexp_extract(filename, '{t['pattern']}', {i}) AS {TYPES[kind]}) AS \"{name}\"")
    files = "'" + t["files"].replace("'", "''") + "'"
    db.execute(f'CREATE TABLE "{t["name"]}" AS SELECT {", ".join(columns)} FROM {source.replace("$files", files)}')

rows = {}
for case, statements in work["cases"].items():
    db.execute("BEGIN")
    for statement in statements:
        db.execute(statement)
    # As text, since what Python makes of a time depends on what it has installed.
    rows[case] = {name: db.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({sql})").fetchall() for name, sql in work["queries"].items()}
    db.execute("ROLLBACK")
json.dump(rows, sys.stdout)
