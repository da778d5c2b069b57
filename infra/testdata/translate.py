"""Prints templates of SAM as CloudFormation translates them, as JSON: a template or an error by file.

Arguments with an equals sign are parameters of all files.
"""
import json
import sys

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class ManagedPolicies:
    """What SAM asks IAM for: no template may need a managed policy."""

    def load(self):
        return {}


parameters = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
translated = {}
for file in (a for a in sys.argv[1:] if "=" not in a):
    with open(file) as source:
        template = yaml_parse(source)
    for resource in template["Resources"].values():
        # "sam deploy" uploads the code first, and puts its address here.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://uploads/" + resource["Properties"]["CodeUri"]
    try:
        translated[file] = {"template": transform(template, dict(parameters), ManagedPolicies())}
    except InvalidDocumentException as e:
        translated[file] = {"error": e.message + " " + "; ".join(c.message for c in e.causes)}
json.dump(translated, sys.stdout)
