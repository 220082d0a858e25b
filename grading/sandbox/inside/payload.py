"""The body of a frame for a job or its reply: JSON and safetensors.

A body is 4 bytes (length of the JSON), JSON, and safetensors.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

LENGTH = struct.Struct("!I")


def pack(facts: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """A body of plain JSON and plain arrays; safetensors refuses tensors that share memory."""
    text = json.dumps(facts).encode()
    arrays = save({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()})
    return LENGTH.pack(len(text)) + text + arrays


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a body that comes from the grader. The output of a job is read by parse_reply.py."""
    end = LENGTH.size + LENGTH.unpack_from(body)[0]
    return json.loads(body[LENGTH.size : end]), load(body[end:])
