"""Reads commands of the AWS CLI, a JSON list of words a line without the leading aws, and prints a line for each: what is wrong with it
by the models of the services that botocore has, or nothing."""

import json
import re
import sys

import botocore.session
from botocore import xform_name

session = botocore.session.get_session()
# Options of the AWS CLI itself (AWS CLI User Guide, "Command line options", "Using AWS CLI pagination options").
EVERYWHERE = {"--query", "--output", "--region", "--profile", "--no-cli-pager", "--max-items", "--page-size", "--starting-token"}
# Commands that the CLI adds to those of the services, with their options (AWS CLI Command Reference, s3).
ADDED = {("s3", "ls"): {"--recursive"}, ("s3", "cp"): {"--recursive"}, ("s3", "mv"): {"--recursive"}}


def fault(words):
    if len(words) < 2:
        return "it names no operation"
    service, operation, rest = words[0], words[1], words[2:]
    flags = [w.split("=")[0] for w in rest if re.match(r"--[a-z]", w)]
    if (service, operation) in ADDED:
        allowed, required = ADDED[service, operation], set()
    else:
        try:
            model = session.get_service_model("s3" if service == "s3api" else service)
        except Exception as error:
            return f"service {service}: {error}"
        names = {xform_name(name, "-"): name for name in model.operation_names}
        if service == "s3" or operation not in names:
            return f"{service} has no operation {operation}"
        shape = model.operation_model(names[operation]).input_shape
        option = lambda member: "--" + xform_name(member, "-")
        allowed = {option(m) for m in shape.members} if shape else set()
        required = {option(m) for m in shape.required_members} if shape else set()
        allowed |= {"--no-" + a[2:] for a in allowed}
    faults = [f"{flag} is no option" for flag in flags if flag not in allowed | EVERYWHERE]
    faults += [f"{flag} is missing" for flag in sorted(required) if flag not in flags]
    return "; ".join(faults)


for line in sys.stdin:
    print(fault(json.loads(line)), flush=True)
