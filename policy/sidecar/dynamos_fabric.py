"""Microservices in Python: one handler for each step of a workflow that names the microservice. Standard library only.

    from dynamos_fabric import serve

    def count(step):
        return {"data": {"parties": sorted(step.parts)}}

    serve({"count": count})

A handler is given a Step and answers a dict with any of
  data   a dict, as JSON
  parts  by name: bytes, or numbers as array.array("d") or a contiguous float64 array of numpy; 64 MiB in all
  files  by name: path, relative to the current folder, of a file it wrote there; the agent takes it away
or nothing. What it raises is the step's failure: a CodedError as it is, anything else as JOB-FAILED with its words.
Handlers are called one after the other, and the process serves one job, so what must last from round to round is kept
in variables. What is printed goes to the agent's log.

The process is started by the package's own sidecar, which speaks to the agent and verifies each step's grant. The two
speak frames over file descriptors 3 (in) and 4 (out): a length (u32, little-endian), so many bytes of JSON, and then
the bytes of the parts that the JSON lists. The first frame goes out and lists the steps.
"""

import array
import json
import os
import struct
import sys
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

__all__ = ["CodedError", "Step", "serve"]

Part = Union[bytes, "array.array[float]"]
_FLOAT64 = 1
_BYTES = 0


@dataclass(frozen=True)
class Step:
    """One step of one round, as it is asked for."""

    #: Counted from 1. A request without rounds has one.
    round: int
    step: str
    #: Counted from 1: how often this step of this round has been asked for.
    attempt: int
    #: The request's data, as its request type's schema allows them.
    request: Dict[str, Any]
    #: The JSON answers of the step's inputs, by step and then by agent.
    data: Dict[str, Dict[str, Any]]
    #: The binary parts of the step's inputs, named by the agent that gave them.
    parts: Dict[str, Part]
    #: The files of the step's inputs, named like parts: absolute paths, gone when the round is over.
    files: Dict[str, str]
    #: The party whose agent runs this microservice.
    steward: str
    #: Folder of that party's data.
    data_folder: str
    #: The data sets that were granted for this round: read no other.
    data_sets: List[str]
    #: Of these data sets only these columns. Of a data set that is not here: all.
    columns: Dict[str, List[str]]
    #: What of that party's data this request may read: by data set, table and column.
    access: Dict[str, Any]
    job: str
    #: As what the party does this step: dataProvider or computeProvider.
    role: str


class CodedError(Exception):
    """A failure with a stable code of the microservice's own, e.g. VFL-ROWS, and what to do about it."""

    def __init__(self, code: str, message: str, remedy: Optional[str] = None, path: Optional[str] = None):
        super().__init__(message)
        self.problem = {"code": code, "message": message}
        if remedy is not None:
            self.problem["remedy"] = remedy
        if path is not None:
            self.problem["path"] = path


Handler = Callable[[Step], Optional[Mapping[str, Any]]]


def serve(handlers: Mapping[str, Handler]) -> None:
    """Makes this process a microservice. Returns when its job is over."""
    _end_with_parent()
    for descriptor in (3, 4):
        os.set_inheritable(descriptor, False)
    incoming = os.fdopen(3, "rb")
    outgoing = os.fdopen(4, "wb")
    _write(outgoing, {"steps": list(handlers)}, {})
    while True:
        step = _read(incoming)
        if step is None:
            return
        header, parts = _answer(handlers[step.step], step)
        _write(outgoing, header, parts)


def _answer(handler: Handler, step: Step):
    try:
        answer = handler(step) or {}
        strange = set(answer) - {"data", "parts", "files"}
        if strange:
            raise TypeError("an answer has data, parts and files, not " + ", ".join(sorted(map(str, strange))))
        parts = {name: _bytes_of(name, part) for name, part in (answer.get("parts") or {}).items()}
        header = {name: answer[name] for name in ("data", "files") if answer.get(name) is not None}
        json.dumps(header, allow_nan=False)  # what is no JSON is the handler's failure
        return header, parts
    except CodedError as error:
        return {"problem": error.problem}, {}
    except Exception as error:  # whatever a handler raises is its answer
        traceback.print_exc()
        return {"failure": "%s: %s" % (type(error).__name__, error)}, {}


def _bytes_of(name: str, part: Any):
    view = memoryview(part)
    if view.format in ("d", "<d", "=d") and view.itemsize == 8:
        if sys.byteorder == "big":
            swapped = array.array("d", view)
            swapped.byteswap()
            view = memoryview(swapped)
        return _FLOAT64, view.cast("B")
    if view.itemsize == 1:
        return _BYTES, view.cast("B")
    raise TypeError("part %s is neither bytes nor float64 numbers" % name)


def _write(stream, header: Dict[str, Any], parts) -> None:
    listed = [{"name": name, "kind": kind, "bytes": view.nbytes} for name, (kind, view) in parts.items()]
    text = json.dumps({**header, "parts": listed}, allow_nan=False).encode()
    stream.write(struct.pack("<I", len(text)))
    stream.write(text)
    for _, view in parts.values():
        stream.write(view)
    stream.flush()


def _read(stream) -> Optional[Step]:
    head = stream.read(4)
    if len(head) < 4:
        return None
    header = json.loads(stream.read(struct.unpack("<I", head)[0]))
    parts = {part["name"]: _part(part["kind"], stream.read(part["bytes"])) for part in header["parts"]}
    return Step(
        round=header["round"],
        step=header["step"],
        attempt=header["attempt"],
        request=header["request"],
        data=header["data"],
        parts=parts,
        files=header["files"],
        steward=header["steward"],
        data_folder=header["dataFolder"],
        data_sets=header["dataSets"],
        columns=header["columns"],
        access=header["access"],
        job=header["job"],
        role=header["role"],
    )


def _part(kind: int, content: bytes) -> Part:
    if kind != _FLOAT64:
        return content
    numbers = array.array("d")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _end_with_parent() -> None:
    """Also in the middle of a computation, which would not notice that nobody listens any more. Elsewhere than on Linux the pipe's end does it."""
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: prctl(2)
        if os.getppid() != parent:
            os._exit(1)
    except (ImportError, OSError, AttributeError):
        pass
