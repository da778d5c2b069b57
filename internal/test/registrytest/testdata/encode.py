"""Frames records as the serializers of the AWS Glue Schema Registry do, with encoders of other projects.

    encode.py SEED COUNT FILE=VERSION_ID...

writes a line of JSON for each record: the payload in base64, and as text the JSON that it has to become, made from
the values that were given to the encoder.
"""
import base64
import datetime
import decimal
import io
import json
import math
import os
import random
import struct
import sys
import tempfile
import uuid
import zlib

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc
import grpc_tools

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCH = datetime.datetime(1970, 1, 1)
decimal.getcontext().prec = 60


class Number(str):
    """A number as JSON writes it."""


def dumps(v):
    if isinstance(v, Number):
        return str(v)
    if isinstance(v, dict):
        return "{" + ",".join(json.dumps(k) + ":" + dumps(x) for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ",".join(map(dumps, v)) + "]"
    if isinstance(v, float) and not math.isfinite(v):
        return '"NaN"' if math.isnan(v) else '"Infinity"' if v > 0 else '"-Infinity"'
    return json.dumps(v)


def text(r):
    alphabet = ["a", "Z", "é", "日", "😀", '"', "\\", "\n", "\t", "\x00", "\x1f", "\u2028", "/", "<", "\x7f"]
    return "".join(r.choice(alphabet) for _ in range(r.choice([0, 1, 5, 40])))


def integer(r, bits):
    edge = 1 << bits - 1
    return r.choice([0, 1, -1, edge - 1, -edge, r.randrange(-edge, edge), r.randrange(-1000, 1000)])


def double(r):
    return r.choice([0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, -2.5e-7, 1e21, 123456789012345680.0, math.nan, math.inf, -math.inf, r.gauss(0, 1e6)])


def single(r):
    return struct.unpack("<f", struct.pack("<I", r.choice([0, 1, 0x7F7FFFFF, 0x3DCCCCCD, r.getrandbits(31) % 0x7F800000])))[0]


def shortest(f):
    """The shortest decimal that gives the same 32 bits."""
    for digits in range(1, 10):
        said = f"%.{digits}g" % f
        if abs(float(said)) < 3.4028236e38 and struct.pack("<f", float(said)) == struct.pack("<f", f):
            return Number(said)


def b64(b):
    return base64.b64encode(b).decode()


# Each maker returns a value for fastavro and what it has to become.

def logical(r, t, named):
    kind = t["logicalType"]
    if kind == "decimal":
        digits, scale = t["precision"], t.get("scale", 0)
        n = r.choice([0, 1, -1, 10**digits - 1, -(10**digits) + 1, r.randrange(-(10**digits) + 1, 10**digits)])
        v = decimal.Decimal(n).scaleb(-scale)
        return v, Number(format(v, "f"))
    if kind == "uuid":
        v = uuid.UUID(int=r.getrandbits(128))
        return v, str(v)
    if kind == "date":
        v = datetime.date.fromordinal(r.choice([1, 719163, 3652059, r.randrange(1, 3652060)]))
        return v, v.isoformat()
    if kind.startswith("time-"):
        millis = kind == "time-millis"
        micros = r.choice([0, 86399999999, r.randrange(86400 * 10**6)])
        if millis:
            micros -= micros % 1000
        v = (EPOCH + datetime.timedelta(microseconds=micros)).time()
        return v, v.isoformat("milliseconds" if millis else "microseconds")
    if "timestamp" in kind:
        millis = kind.endswith("millis")
        micros = r.choice([0, -1000, -62135596800 * 10**6, 253402300799999000, r.randrange(-10**15, 4 * 10**15)])
        if millis:
            micros -= micros % 1000
        v = EPOCH + datetime.timedelta(microseconds=micros)
        said = v.isoformat(timespec="milliseconds" if millis else "microseconds")
        if kind.startswith("local"):
            return v, said
        return v.replace(tzinfo=datetime.timezone.utc), said + "Z"
    if kind == "duration":
        parts = [r.choice([0, 1, 2**32 - 1, r.getrandbits(32)]) for _ in range(3)]
        return struct.pack("<III", *parts), "P%dM%dDT%d.%03dS" % (parts[0], parts[1], parts[2] // 1000, parts[2] % 1000)
    v = integer(r, 64)  # of a kind that nobody knows
    return v, v


def avro(r, t, named, depth=0):
    if isinstance(t, list):
        return avro(r, r.choice(t), named, depth)
    if isinstance(t, str):
        if t in named or "lake.test." + t in named:
            return avro(r, named.get(t) or named["lake.test." + t], named, depth)
        return avro(r, {"type": t}, named, depth)
    if "logicalType" in t:
        return logical(r, t, named)
    kind = t["type"]
    if not isinstance(kind, str):
        return avro(r, kind, named, depth)
    if "name" in t:
        named["lake.test." + t["name"]] = t
    if kind == "record":
        pairs = {f["name"]: avro(r, f["type"], named, depth + 1) for f in t["fields"]}
        return {k: v for k, (v, _) in pairs.items()}, {k: w for k, (_, w) in pairs.items()}
    if kind in ("array", "map"):
        count = 0 if depth > 4 else r.choice([0, 1, 3])
        pairs = [avro(r, t["items" if kind == "array" else "values"], named, depth + 1) for _ in range(count)]
        if kind == "array":
            return [v for v, _ in pairs], [w for _, w in pairs]
        keys = [text(r) + str(i) for i in range(count)]
        return {k: v for k, (v, _) in zip(keys, pairs)}, {k: w for k, (_, w) in zip(keys, pairs)}
    if kind == "fixed":
        v = r.randbytes(t["size"])
        return v, b64(v)
    if kind == "enum":
        v = r.choice(t["symbols"])
        return v, v
    if kind == "bytes":
        v = r.randbytes(r.choice([0, 1, 20]))
        return v, b64(v)
    if kind == "float":
        v = single(r)
        return v, shortest(v)
    v = {"null": lambda: None, "boolean": lambda: r.random() < 0.5, "int": lambda: integer(r, 32), "long": lambda: integer(r, 64),
         "double": lambda: double(r), "string": lambda: text(r)}[kind]()
    return v, v


def avro_records(r, path, count):
    with open(path) as f:
        schema = json.load(f)
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    for _ in range(count):
        value, want = avro(r, schema, {})
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, value)
        yield out.getvalue(), dumps(want)


def random_message(r, m, depth=0):
    for f in m.DESCRIPTOR.fields:
        if f.containing_oneof is not None and r.random() < 0.5 or f.has_presence and r.random() < 0.3 and not f.is_required:
            continue
        if f.message_type is not None and f.message_type.GetOptions().map_entry:
            key, value = f.message_type.fields_by_name["key"], f.message_type.fields_by_name["value"]
            for _ in range(0 if depth > 3 else r.choice([0, 1, 3])):
                k = scalar(r, key)
                if value.message_type is not None:
                    random_message(r, getattr(m, f.name)[k], depth + 1)
                else:
                    getattr(m, f.name)[k] = scalar(r, value)
        elif f.is_repeated:
            for _ in range(0 if depth > 3 else r.choice([0, 1, 3])):
                if f.message_type is not None:
                    fill(r, getattr(m, f.name).add(), depth + 1)
                else:
                    getattr(m, f.name).append(scalar(r, f))
        elif f.message_type is not None:
            if depth < 4:
                getattr(m, f.name).SetInParent()
                fill(r, getattr(m, f.name), depth + 1)
        else:
            setattr(m, f.name, scalar(r, f))


def fill(r, m, depth):
    name = m.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        m.seconds = r.choice([0, -62135596800, 253402300799, r.randrange(-10**9, 4 * 10**9)])
        m.nanos = r.choice([0, 5 * 10**8, 123456000, 999999999])
    elif name == "google.protobuf.Duration":
        sign = r.choice([1, -1])
        m.seconds, m.nanos = sign * r.choice([0, 1, 315576000000]), sign * r.choice([0, 5 * 10**8, 1000, 1])
        if abs(m.seconds) == 315576000000:
            m.nanos = 0
    elif name in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"):
        value = {"a": 1.5, "b": [None, True, "x", {"c": []}], text(r): -2.0}
        if name.endswith("Value") and not name.endswith("ListValue"):
            value = r.choice([None, 1.25, "text", False, value, value["b"]])
        elif name.endswith("ListValue"):
            value = value["b"]
        json_format.ParseDict(value, m)
    else:
        random_message(r, m, depth)


def scalar(r, f):
    kind = f.type
    if kind == f.TYPE_ENUM:
        numbers = [v.number for v in f.enum_type.values]
        return r.choice(numbers if f.enum_type.is_closed else numbers + [77])
    if kind == f.TYPE_FLOAT:
        return single(r)
    return {
        f.CPPTYPE_BOOL: lambda: r.random() < 0.5, f.CPPTYPE_INT32: lambda: integer(r, 32), f.CPPTYPE_INT64: lambda: integer(r, 64),
        f.CPPTYPE_UINT32: lambda: integer(r, 32) % 2**32, f.CPPTYPE_UINT64: lambda: integer(r, 64) % 2**64,
        f.CPPTYPE_DOUBLE: lambda: double(r), f.CPPTYPE_STRING: lambda: text(r) if kind == f.TYPE_STRING else r.randbytes(r.choice([0, 1, 9])),
    }[f.cpp_type]()


def as_numbers(v, d):
    """Has 64-bit integers, which ProtoJSON writes as strings, as numbers."""
    if d.full_name == "google.protobuf.Int64Value":
        return int(v)
    if d.full_name.startswith("google.protobuf."):
        return v
    for name, value in v.items():
        v[name] = field_as_numbers(value, d.fields_by_name[name])
    return v


def field_as_numbers(value, f):
    if f.message_type is not None and f.message_type.GetOptions().map_entry:
        return {k: one_as_number(x, f.message_type.fields_by_name["value"]) for k, x in value.items()}
    if f.is_repeated:
        return [one_as_number(x, f) for x in value]
    return one_as_number(value, f)


def one_as_number(value, f):
    if f.message_type is not None:
        return as_numbers(value, f.message_type)
    if f.type == f.TYPE_FLOAT:
        return shortest(value)
    return int(value) if f.cpp_type in (f.CPPTYPE_INT64, f.CPPTYPE_UINT64) else value


def nested(d):
    yield d
    for n in d.nested_types:
        yield from nested(n)


def proto_records(r, path, count, roots):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "set")
        include = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
        if protoc.main(["protoc", "-I" + HERE, "-I" + include, "--include_imports", "--descriptor_set_out=" + out, path]) != 0:
            sys.exit("protoc refuses " + path)
        files = descriptor_pb2.FileDescriptorSet()
        with open(out, "rb") as f:
            files.ParseFromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    file = pool.FindFileByName(os.path.basename(path))
    every = sorted((d for m in file.message_types_by_name.values() for d in nested(m)), key=lambda d: d.full_name)
    for i in range(count):
        root = roots[i % len(roots)]
        descriptor = pool.FindMessageTypeByName(root)
        m = message_factory.GetMessageClass(descriptor)()
        random_message(r, m)
        number = [d.full_name for d in every].index(root)
        want = json_format.MessageToDict(m, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=pool)
        assert number < 128
        yield bytes([number]) + m.SerializeToString(), dumps(as_numbers(want, descriptor))


def json_records(r, count):
    for i in range(count):
        said = dumps({"id": integer(r, 64), "note": text(r), "stops": [i, {"a": None}]})
        yield said.encode(), said


def main():
    r = random.Random(int(sys.argv[1]))
    count = int(sys.argv[2])
    for argument in sys.argv[3:]:
        name, version = argument.split("=")
        path = os.path.join(HERE, name)
        if name.endswith(".avsc"):
            records = avro_records(r, path, count)
        elif name == "everything.proto":
            records = proto_records(r, path, count, ["lake.test.Everything", "lake.test.Everything.Inner.Leaf", "lake.test.Zebra"])
        elif name.endswith(".proto"):
            records = proto_records(r, path, count, ["Older"])
        else:
            records = json_records(r, count)
        for i, (data, want) in enumerate(records):
            frame = b"\x03" + (b"\x05" if i % 3 == 0 else b"\x00") + uuid.UUID(version).bytes
            payload = frame + (zlib.compress(data) if i % 3 == 0 else data)
            print(json.dumps({"file": name, "payload": b64(payload), "want": want}))


main()
