"""Runs the AWS CLI once for each line of the input, a JSON list of arguments, without starting anew. Answers a line each: a
JSON list of the exit code and what the CLI wrote to its two outputs."""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver

driver = create_clidriver()
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = driver.main(json.loads(line))
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
