"""Compares the description of a Parquet file, and the table that the file is for, with the file.

Usage: table.py file.parquet about.json

about.json has the definition of the table and the description of the file. Field ids, types, sizes and row groups are those of
the footer; counts and bounds are computed from the values. Single values are decoded as the Iceberg table specification has it
(appendix D). Says what differs, and then exits with 1.
"""

import base64
import datetime
import decimal
import json
import math
import struct
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

EPOCH = datetime.date(1970, 1, 1)
problems = []


def check(ok, *what):
    if not ok:
        problems.append(" ".join(map(str, what)))


def field_id(field):
    return int((field.metadata or {}).get(b"PARQUET:field_id", -1))


def iceberg_type(t):
    if pa.types.is_decimal(t):
        return f"decimal({t.precision}, {t.scale})"
    names = {pa.int32(): "int", pa.int64(): "long", pa.float32(): "float", pa.float64(): "double", pa.bool_(): "boolean",
             pa.string(): "string", pa.date32(): "date", pa.timestamp("us"): "timestamp", pa.timestamp("us", tz="UTC"): "timestamptz"}
    return names.get(t, str(t))


def walk(field, column, path, leaves, bounded):
    """Compares a field with its column, and collects the ids of leaves by their path in the file."""
    check(field_id(field) == column["id"], path, "has the id", field_id(field), "not", column["id"])
    t = field.type
    if pa.types.is_struct(t):
        members = {c["member"]: c for c in column["fields"]}
        check(column["type"] == "struct" and len(members) == t.num_fields, path, "is", t)
        for member in t:
            walk(member, members[member.name], path + (member.name,), leaves, bounded)
    elif pa.types.is_map(t):
        check(column["type"] == "map", path, "is", t)
        walk(t.key_field, column["key"], path + ("key_value", "key"), leaves, False)
        walk(t.item_field, column["element"], path + ("key_value", "value"), leaves, False)
    elif pa.types.is_list(t):
        check(column["type"] == "list", path, "is", t)
        walk(t.value_field, column["element"], path + ("list", "element"), leaves, False)
    else:
        check(iceberg_type(t) == column["type"], path, "is", t, "not", column["type"])
        leaves[".".join(path)] = (column["id"], path if bounded else None)


def values_of(table, path):
    array = table[path[0]].combine_chunks()
    for name in path[1:]:
        array = pc.struct_field(array, name)  # with the nulls of the structs around it
    return array


def decode(raw, t):
    if raw is None:
        return None
    b = base64.b64decode(raw)
    if pa.types.is_decimal(t):
        unscaled = int.from_bytes(b, "big", signed=True)
        size = max(1, (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1)
        check(len(b) == size, "decimal", unscaled, "takes", len(b), "bytes")
        return decimal.Decimal(unscaled).scaleb(-t.scale, decimal.Context(prec=50))
    if pa.types.is_string(t):
        return b.decode()
    if pa.types.is_boolean(t):
        return {b"\0": False, b"\1": True}[b]
    if pa.types.is_date(t) or t == pa.int32():
        return struct.unpack("<i", b)[0]
    if t == pa.float32():
        return struct.unpack("<f", b)[0]
    if t == pa.float64():
        return struct.unpack("<d", b)[0]
    return struct.unpack("<q", b)[0]


def rounded_up(text):
    """The least text of 16 code points at most that is above all that begin with the first 16 of text; None if there is none."""
    points = [ord(c) for c in text[:16]]
    while points:
        last = points.pop() + 1
        if last == 0xD800:
            last = 0xE000
        if last <= 0x10FFFF:
            return "".join(map(chr, points + [last]))
    return None


def main(path, about):
    about = json.load(open(about))
    columns = {c["member"]: c for c in about["definition"]["columns"]}
    described = {c["ID"]: c for c in about["description"]["Columns"]}
    file = pq.ParquetFile(path)
    table, md = file.read(), file.metadata
    leaves = {}
    for field in file.schema_arrow:
        walk(field, columns[field.name], (field.name,), leaves, True)
    check(len(columns) == len(file.schema_arrow), "columns are missing")
    check({c for c, _ in leaves.values()} == set(described), "ids", sorted(described), "not", sorted(c for c, _ in leaves.values()))

    splits = []
    for i in range(md.num_row_groups):
        first = md.row_group(i).column(0)
        splits.append(first.dictionary_page_offset or first.data_page_offset)
    check(splits == about["description"]["Splits"], "splits", about["description"]["Splits"], "not", splits)

    bounds = 0
    for j in range(md.num_columns):
        chunks = [md.row_group(i).column(j) for i in range(md.num_row_groups)]
        name = chunks[0].path_in_schema
        got = described.get(leaves[name][0])
        if got is None:
            continue
        size, values = sum(c.total_compressed_size for c in chunks), sum(c.num_values for c in chunks)
        check(got["Size"] == size, name, "size", got["Size"], "not", size)
        check(got["Values"] == values, name, "values", got["Values"], "not", values)
        if leaves[name][1] is None:
            nulls = sum(c.statistics.null_count for c in chunks)
            check(got["Nulls"] == nulls, name, "nulls", got["Nulls"], "not", nulls)
            check(got["Lower"] is None and got["Upper"] is None, name, "in a list or map has bounds")
            continue
        array = values_of(table, leaves[name][1])
        check(got["Nulls"] == array.null_count, name, "nulls", got["Nulls"], "not", array.null_count)
        nans = pc.sum(pc.is_nan(array)).as_py() or 0 if pa.types.is_floating(array.type) else 0
        check(got["NaNs"] == nans, name, "NaNs", got["NaNs"], "not", nans)
        low, high = decode(got["Lower"], array.type), decode(got["Upper"], array.type)
        if nans or array.null_count == len(array):
            check(low is None and high is None, name, "has bounds", low, high)
            continue
        bounds += 1
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.int64())
        elif pa.types.is_date(array.type):
            array = array.cast(pa.int32())
        if pa.types.is_string(array.type):
            texts = array.drop_null().to_pylist()
            least, most = min(texts), max(texts)
            check(low == least[:16], name, "lower", repr(low), "not", repr(least[:16]))
            want = most if len(most) <= 16 else rounded_up(most)
            check(high == want, name, "upper", repr(high), "not", repr(want))
            continue
        extremes = pc.min_max(array)
        least, most = extremes["min"].as_py(), extremes["max"].as_py()
        check(low == least, name, "lower", low, "not", least)
        check(high == most, name, "upper", high, "not", most)
        if isinstance(low, float):
            check(low != 0 or math.copysign(1, low) < 0, name, "lower is 0, not -0")
            check(high != 0 or math.copysign(1, high) > 0, name, "upper is -0, not 0")
    print(f"{len(table)} rows, {md.num_row_groups} row groups, {len(described)} columns, {bounds} with bounds, {len(problems)} problems")
    for problem in problems[:20]:
        print(problem)
    sys.exit(1 if problems else 0)


main(*sys.argv[1:])
