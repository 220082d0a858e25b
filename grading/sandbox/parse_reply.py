"""Reads the reply of a job: bytes that a student may have written.

Only JSON and safetensors are parsed, with limits on size, depth and types.
"""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from safetensors import SafetensorError, deserialize
from torch import Tensor

from grading.sandbox.inside.payload import LENGTH
from grading.sandbox.jobs import Raised, Reply

DEEPEST, MOST_VALUES, MOST_TENSORS, MOST_AXES = 12, 100_000, 1000, 8
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.uint8,  # its bytes may be other than 0 or 1
}


class UnreadableError(Exception):
    """The bytes are not a valid reply."""


def read_reply(body: bytes, printed: str) -> Reply:
    """The reply of a job that ended by itself; "died" if the reply cannot be read."""
    try:
        said, tensors = _parts(body)
        facts, ending = said.get("facts"), said.get("ending")
        if not isinstance(facts, dict) or ending not in ("returned", "raised"):
            raise UnreadableError("neither returned nor raised")
        _check_text(facts)
        raised = _raised(said.get("raised")) if ending == "raised" else None
        return Reply(ending, facts, tensors, raised=raised, printed=printed)
    except UnreadableError:
        return Reply("died", printed=printed)


def _parts(body: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if len(body) < LENGTH.size:
        raise UnreadableError("cut short")
    end = LENGTH.size + LENGTH.unpack_from(body)[0]
    try:
        said = json.loads(body[LENGTH.size : end].decode())
    # ValueError covers bad JSON, bad UTF-8 and numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UnreadableError("no JSON") from error
    _check_size(said)
    if not isinstance(said, dict) or "ending" not in said:
        raise UnreadableError("no object")
    return said, _tensors(body[end:])


def _check_size(said: Any) -> None:
    """Level by level, so that a deep value cannot overflow the stack."""
    level, values = [said], 0
    for _ in range(DEEPEST):
        values += len(level)
        if not level or values > MOST_VALUES:
            break
        level = [one for value in level for one in _within(value)]
    if level:
        raise UnreadableError("too deep or too many values")


def _check_text(facts: dict[str, Any]) -> None:
    try:
        json.dumps(facts, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnreadableError("half a character") from error


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _tensors(data: bytes) -> dict[str, Tensor]:
    try:
        found = deserialize(data)
    except (SafetensorError, ValueError) as error:
        raise UnreadableError("no safetensors") from error
    if len(found) > MOST_TENSORS:
        raise UnreadableError("too many tensors")
    return {name: _tensor(one) for name, one in found}


def _tensor(stored: dict[str, Any]) -> Tensor:
    kind, shape = stored["dtype"], list(stored["shape"])
    if kind not in DTYPES or len(shape) > MOST_AXES or max([1, *shape]) > 2**31:
        raise UnreadableError("no tensor of ours")
    if math.prod(shape) == 0:
        made = torch.empty(0, dtype=DTYPES[kind])
    else:
        made = torch.frombuffer(bytearray(stored["data"]), dtype=DTYPES[kind])
    if made.numel() != math.prod(shape):
        raise UnreadableError("a shape of other data")
    made = made.reshape(shape)
    return made != 0 if kind == "BOOL" else made


def _raised(said: Any) -> Raised:
    if not isinstance(said, dict):
        raise UnreadableError("no exception")
    texts = [said.get(name) for name in ("kind", "message", "line")]
    if not all(isinstance(text, str) for text in texts):
        raise UnreadableError("no exception")
    return Raised(*(_readable(str(text)) for text in texts))


def _readable(text: str) -> str:
    """Without lone surrogates, which cannot be written to a file or a page."""
    return text.encode("utf-8", "replace").decode()
