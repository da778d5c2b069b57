"""What a Lambda function in Python does with the records of an event: decode, parse, add the id, print."""
import base64
import json
import sys

BATCH = 10_000

source, target = sys.argv[1:]
with open(source, "rb") as records, open(target, "w", encoding="utf-8") as out:
    lines = []
    for n, data in enumerate(records):
        record = json.loads(base64.b64decode(data))
        record["event_id"] = f"49590338271490256608559692538361571095921575989136{n:06d}"
        lines.append(json.dumps(record))
        if len(lines) == BATCH:
            out.write("\n".join(lines) + "\n")
            lines.clear()
    if lines:
        out.write("\n".join(lines) + "\n")
