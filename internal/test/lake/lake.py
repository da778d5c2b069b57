"""Reads and changes Iceberg tables with DuckDB and pyiceberg. It serves requests, one JSON object per line, with one line each.

The only argument is JSON: the URL of a REST catalog, which may be empty, and the endpoint, region and keys of S3. A table is
namespace.name in that catalog, or a location, s3://bucket/prefix, with a version hint.
"""
import datetime
import decimal
import json
import pathlib
import sys
import uuid

import duckdb
import duckdb_extension_avro
import duckdb_extension_httpfs
import duckdb_extension_iceberg
import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, NoSuchTableError
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.transforms import parse_transform
from pyiceberg.types import BooleanType, DoubleType, FloatType, IntegerType, LongType, NestedField, StringType, TimestamptzType

SETTINGS = json.loads(sys.argv[1])
S3 = {
    "s3.endpoint": SETTINGS["s3"]["URL"], "s3.region": SETTINGS["s3"]["Region"], "s3.force-virtual-addressing": "false",
    "s3.access-key-id": SETTINGS["s3"]["AccessKey"], "s3.secret-access-key": SETTINGS["s3"]["SecretKey"],
}
TYPES = {"boolean": BooleanType, "int": IntegerType, "long": LongType, "float": FloatType, "double": DoubleType,
         "string": StringType, "timestamptz": TimestamptzType}
# A commit that met another one is reported to the caller, not repeated: the test says what happens next.
CATALOG = load_catalog("lake", type="rest", uri=SETTINGS["catalog"], **S3) if SETTINGS["catalog"] else None


def load(table):
    if table.startswith("s3://"):
        return StaticTable.from_metadata(table, S3)
    return CATALOG.load_table(table)


def connect(table):
    """A DuckDB in which the view t is the table, if there is one. It loads its extensions from files and downloads nothing."""
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "threads": "2"})
    for module, name in ((duckdb_extension_avro, "avro"), (duckdb_extension_httpfs, "httpfs"), (duckdb_extension_iceberg, "iceberg")):
        folder = pathlib.Path(module.__file__).parent / "extensions"
        db.load_extension(str(next(folder.rglob(name + ".duckdb_extension"))))
    s3 = SETTINGS["s3"]
    scheme, _, host = s3["URL"].partition("://")
    db.execute("SET TimeZone = 'UTC'")
    db.execute("CREATE SECRET (TYPE s3, KEY_ID '%s', SECRET '%s', REGION '%s', ENDPOINT '%s', URL_STYLE 'path', USE_SSL %s)" % (
        s3["AccessKey"], s3["SecretKey"], s3["Region"], host, str(scheme == "https").lower()))
    if not table:
        return db
    if table.startswith("s3://"):
        db.execute("CREATE VIEW t AS FROM iceberg_scan('%s')" % table)
        return db
    db.execute("ATTACH '' AS lake (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % SETTINGS["catalog"])
    namespace, name = table.rsplit(".", 1)
    db.execute('CREATE VIEW t AS FROM lake."%s"."%s"' % (namespace, name))
    return db


def query(r):
    with connect(r["table"]) as db:
        return db.sql(r["sql"]).to_arrow_table().to_pylist()


def rows(r):
    return load(r["table"]).scan(row_filter=r["filter"] or "true").to_arrow().to_pylist()


def schema(r):
    def describe(f):
        kind, fields = f.field_type, []
        if kind.is_struct:
            fields = [describe(c) for c in kind.fields]
        return {"ID": f.field_id, "Name": f.name, "Type": "struct" if kind.is_struct else str(kind), "Required": f.required, "Fields": fields}
    return [describe(f) for f in load(r["table"]).schema().fields]


def snapshots(r):
    """Oldest first, those only that are still there."""
    metadata = load(r["table"]).metadata
    return [{"ID": s.snapshot_id, "Operation": s.summary.operation.value, "Summary": dict(s.summary.additional_properties)}
            for s in sorted(metadata.snapshots, key=lambda s: s.sequence_number)]


def properties(r):
    return dict(load(r["table"]).metadata.properties)


def files(r):
    """The data files that a scan with the filter reads."""
    return [{"Path": task.file.file_path, "Records": task.file.record_count, "Bytes": task.file.file_size_in_bytes,
             "Partition": list(task.file.partition)} for task in load(r["table"]).scan(row_filter=r["filter"] or "true").plan_files()]


def manifests(r):
    """How many manifests the current snapshot has, and how many bytes its metadata."""
    table = load(r["table"])
    snapshot = table.current_snapshot()
    listed = snapshot.manifests(table.io) if snapshot else []
    return {"Manifests": len(listed), "Metadata": len(table.io.new_input(table.metadata_location))}


def create(r):
    CATALOG.create_namespace_if_not_exists(r["table"].rsplit(".", 1)[0])
    columns = [NestedField(i + 1, name, TYPES[kind](), required=False) for i, (name, kind) in enumerate(r["columns"])]
    table = CATALOG.create_table(r["table"], schema=Schema(*columns), properties=r["properties"] or {})
    with table.update_spec() as update:
        for column, transform in r["partition"] or []:
            update.add_field(column, parse_transform(transform))


def append(r):
    """Appends rows as another writer would, in one commit."""
    table = load(r["table"])
    kinds = table.schema().as_arrow()
    content = [{name: parse(value, kinds.field(name).type) for name, value in row.items()} for row in r["rows"]]
    table.append(pa.Table.from_pylist(content, schema=kinds))


def parse(value, kind):
    """The value of a column, whose times are in RFC 3339."""
    return datetime.datetime.fromisoformat(value) if pa.types.is_timestamp(kind) and value is not None else value


def compact(r):
    """Replaces the data files of the current snapshot by new ones with the same rows, and counts those replaced."""
    table = load(r["table"])
    old = [task.file for task in table.scan().plan_files()]
    if not old:
        return 0
    content = table.scan().to_arrow()
    with table.transaction() as change:
        new = list(_dataframe_to_data_files(change.table_metadata, content, table.io))
        with change.update_snapshot().overwrite() as update:
            for f in old:
                update.delete_data_file(f)
            for f in new:
                update.append_data_file(f)
    return len(old)


def expire(r):
    """Expires all snapshots but the current one, and counts them."""
    table = load(r["table"])
    current = table.metadata.current_snapshot_id
    old = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != current]
    if old:
        table.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def add(r):
    """Adds an optional column of a primitive type."""
    with load(r["table"]).update_schema() as update:
        update.add_column(r["column"], TYPES[r["type"]]())


def rename(r):
    with load(r["table"]).update_schema() as update:
        update.rename_column(r["column"], r["name"])


def drop(r):
    with load(r["table"]).update_schema(allow_incompatible_changes=True) as update:
        update.delete_column(r["column"])


def create_namespace(r):
    CATALOG.create_namespace(r["table"])


def drop_table(r):
    CATALOG.drop_table(r["table"])


def rollback(r):
    load(r["table"]).manage_snapshots().rollback_to_snapshot(r["snapshot"]).commit()


def plain(value):
    """What JSON has no type for: bytes in hexadecimal, times in RFC 3339."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    raise TypeError(type(value))


COMMANDS = {f.__name__: f for f in (query, rows, schema, snapshots, properties, files, manifests, create, append, compact, expire, add, rename, drop,
                                    create_namespace, drop_table, rollback)}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"answer": COMMANDS[request["command"]](request)}
    except (CommitFailedException, CommitStateUnknownException) as e:
        answer = {"kind": "conflict", "error": str(e)}
    except NoSuchTableError as e:
        answer = {"kind": "no table", "error": str(e)}
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer, default=plain), flush=True)
