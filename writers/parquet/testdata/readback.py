"""Reads every *.parquet file of a directory with PyArrow and with DuckDB and compares the rows with *.want, one JSON
object a row. Prints a line ending in "ok" for each file and engine; the exit status is 1 if anything differs.

Dates are days and timestamps microseconds since 1970, decimals are text, maps are lists of pairs.
"""

import datetime
import decimal
import json
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def canonical(value, kind):
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {f.name: canonical(value[f.name], f.type) for f in kind}
    if pa.types.is_map(kind):
        return [[canonical(k, kind.key_type), canonical(v, kind.item_type)] for k, v in value]
    if pa.types.is_list(kind):
        return [canonical(v, kind.value_type) for v in value]
    if isinstance(value, datetime.datetime):
        return (value.replace(tzinfo=None) - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return value


def compare(engine, path, table, want):
    assert table.num_rows == len(want), f"{engine} {path}: {table.num_rows} rows, want {len(want)}"
    for name, column in zip(table.column_names, table.columns):
        for i, value in enumerate(column.to_pylist()):
            if value is None and want[i][name] is None:
                continue
            got = canonical(value, column.type)
            # As text, in which zeros of either sign differ, and integers from doubles.
            assert json.dumps(got) == json.dumps(want[i][name]), f"{engine} {path}: row {i} column {name}: got {got!r:.300}, want {want[i][name]!r:.300}"
    if want:
        assert set(table.column_names) == set(want[0]), f"{engine} {path}: columns {table.column_names}"
    print(engine, path.name, "ok")


def check_bounds(path, table):
    """Statistics of each row group must hold for its values, and be there where there are values."""
    meta = pq.ParquetFile(path).metadata
    flat = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
    start = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        rows = table.slice(start, group.num_rows)
        start += group.num_rows
        for name in table.column_names:
            if name not in flat:
                continue
            values = [v for v in rows.column(name).to_pylist() if v is not None]
            stats = group.column(flat[name]).statistics
            assert stats.null_count == group.num_rows - len(values), f"{path} group {g} column {name}: null count"
            assert stats.has_min_max == bool(values), f"{path} group {g} column {name}: has no bounds"
            if not values:
                continue
            low, high = min(values), max(values)
            assert stats.min <= low and stats.max >= high, f"{path} group {g} column {name}: bounds"
            if not isinstance(low, str) or max(len(low.encode()), len(high.encode())) <= 64:
                assert (stats.min, stats.max) == (low, high), f"{path} group {g} column {name}: bounds not exact"


def check_filters(db, path, table):
    """Looking up single values goes through statistics, page indexes and Bloom filters."""
    for name in {"event_id", "int64", "i64", "city", "micros", "double", "wide", "n", "id"} & set(table.column_names):
        values = [v for v in table.column(name).to_pylist()[::97] if v is not None]
        for value in values[:20]:
            query = f"SELECT count(*) FROM '{path}' WHERE \"{name}\" = ?"
            found = db.execute(query, [value]).fetchone()[0]
            all_rows = sum(1 for v in table.column(name).to_pylist() if v == value)
            assert found == all_rows, f"{path}: {name} = {value!r} found {found} of {all_rows}"


def main():
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute("SET threads = 1")
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.parquet")):
        text = path.with_suffix(".want").read_text(encoding="utf-8")
        want = [json.loads(line) for line in text.split("\n") if line]
        table = pq.read_table(path, use_threads=False, page_checksum_verification=True)
        compare("pyarrow", path, table, want)
        check_bounds(path, table)
        compare("duckdb", path, db.execute(f"SELECT * FROM '{path}'").to_arrow_table(), want)
        if want:
            check_filters(db, path, table)


main()
