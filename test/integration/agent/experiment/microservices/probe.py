"""A microservice for tests: it does what the request tells it, also what none should."""

import array
import hashlib
import os
import sys
import time

from dynamos_fabric import CodedError, serve

worked = 0


def work(step):
    global worked
    worked += 1
    what = step.request.get("do", "count")
    if what == "throw":
        raise ValueError("the columns do not fit")
    if what == "code":
        raise CodedError("VFL-ROWS", "the rows do not fit", remedy="align them")
    if what == "nan":
        return {"data": {"accuracy": float("nan")}}
    if what == "list":
        return {"parts": {"wrong": [1, 2]}}
    if what == "garbage":
        os.write(4, b"\xff" * 64)
        time.sleep(60)
    if what == "die":
        sys.exit("nobody wants this any more")
    if what == "spin":
        while True:
            pass
    if what == "environment":
        return {"data": {"names": sorted(os.environ), "cwd": os.getcwd()}}
    if what == "all" and step.step == "give":
        with open("rows.txt", "w") as rows:
            rows.write("a row\n" * 100_000)
        numbers = array.array("d", [3.141592653589793, 2.5, 1e-308])
        return {"parts": {"numbers": numbers, "raw": bytes([0, 255])}, "files": {"rows": "rows.txt"}}
    kinds = {name: [type(part).__name__, list(part)] for name, part in step.parts.items()}
    files = {name: hashlib.sha256(open(path, "rb").read()).hexdigest() for name, path in step.files.items()}
    print("worked on", step.step)
    return {
        "data": {
            "worked": worked,
            "round": step.round,
            "role": step.role,
            "steward": step.steward,
            "got": step.data,
            "parts": kinds,
            "files": files,
        }
    }


if os.environ["SERVICE_NAME"] == "mute":
    sys.exit()
serve({"give": work, "pass": work})
