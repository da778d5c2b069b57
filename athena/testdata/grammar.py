"""Reads statements and queries with sqlglot's grammar of Athena, which speaks Hive in DDL and Trino in queries.

grammar.py ddl FILE...      prints what each CREATE TABLE says, as JSON
grammar.py duckdb FILE...   prints each query in the words of DuckDB, as JSON; "" for what is maintenance of an Iceberg table
"""

import json
import sys

import sqlglot
from sqlglot import exp


def text(node):
    return node.name if node is not None else ""


def table(path):
    with open(path) as f:
        create = sqlglot.parse_one(f.read(), read="athena")
    assert isinstance(create, exp.Create) and create.kind == "TABLE", type(create)
    said = {"name": create.this.this.name, "exists": bool(create.args.get("exists")), "properties": {}, "serde_properties": {}, "partitions": []}
    said["columns"] = [[c.name, c.kind.sql("hive").lower()] for c in create.this.expressions]
    for p in create.args["properties"].expressions:
        if isinstance(p, exp.ExternalProperty):
            said["external"] = True
        elif isinstance(p, exp.PartitionedByProperty):
            # A column of the key, or a transform of an Iceberg table.
            said["partitions"] = [[c.name, (c.kind if isinstance(c, exp.ColumnDef) else c).sql("hive").lower()] for c in p.this.expressions]
        elif isinstance(p, exp.RowFormatSerdeProperty):
            said["serde"] = text(p.this)
            serde = p.args.get("serde_properties")
            said["serde_properties"] = {text(s.this): text(s.args["value"]) for s in serde.expressions} if serde else {}
        elif isinstance(p, exp.FileFormatProperty):
            said["format"] = p.this.sql("hive") if isinstance(p.this, exp.InputOutputFormat) else text(p.this)
        elif isinstance(p, exp.LocationProperty):
            said["location"] = text(p.this)
        elif type(p) is exp.Property:
            said["properties"][text(p.this)] = text(p.args["value"])
        else:
            raise SystemExit(f"{path}: nobody expects a {type(p).__name__}")
    return said


def query(path):
    with open(path) as f:
        statements = sqlglot.parse(f.read(), read="athena")
    assert len(statements) == 1, path
    if isinstance(statements[0], exp.Command):
        assert statements[0].this.upper() in ("OPTIMIZE", "VACUUM"), path
        return ""
    return statements[0].sql("duckdb")


work = {"ddl": table, "duckdb": query}[sys.argv[1]]
json.dump({path: work(path) for path in sys.argv[2:]}, sys.stdout)
