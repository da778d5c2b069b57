"""Prints, for each case of keywords.json, which of its values Python's jsonschema takes, and the keywords of draft 2020-12."""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema_specifications import REGISTRY

with open(sys.argv[1]) as file:
    cases = json.load(file)

verdicts = []
for case in cases:
    document = case.get("document") or {"properties": {"v": case["schema"]}}
    Draft202012Validator.check_schema(document)
    validator = Draft202012Validator(document, format_checker=FormatChecker(["date", "date-time"]))
    verdicts.append({
        list_: [validator.is_valid(value if "document" in case else {"v": value}) for value in case.get(list_, [])]
        for list_ in ("valid", "unfit", "invalid")
    })

keywords = set()
for vocabulary in ("core", "applicator", "unevaluated", "validation", "format-annotation", "content", "meta-data"):
    meta = REGISTRY.contents("https://json-schema.org/draft/2020-12/meta/" + vocabulary)
    keywords.update(meta["properties"])

json.dump({"verdicts": verdicts, "keywords": sorted(keywords)}, sys.stdout)
