"""What a frame carries of a job, and of its reply: JSON and safetensors.

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
    """A body of plain JSON and plain arrays; safetensors wants no two that share their memory."""
    text = json.dumps(facts).encode()
    arrays = save({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()})
    return LENGTH.pack(len(text)) + text + arrays


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A body that comes from the grader; what comes out of a job, parse_reply.py reads."""
    end = LENGTH.size + LENGTH.unpack_from(body)[0]
    return json.loads(body[LENGTH.size : end]), load(body[end:])
