"""What PyTorch's errors about shapes mean for the inputs of a task."""

from __future__ import annotations

import re

from distillery.course.case import Case

LONGEST = 1000  # characters of a message that are read
MISMATCH = re.compile(
    r"The size of tensor a \((\d{1,9})\) must match the size of tensor b \((\d{1,9})\) "
    r"at non-singleton dimension (\d)\b"
)
SCALAR = re.compile(r"a Tensor with (\d{1,9}) elements cannot be converted to Scalar")
AXES = ("pictures", "channels", "rows", "columns")


def about_shapes(case: Case, message: str) -> str:
    """One sentence on an error that lies in the shapes, or "" where nothing certain can be said.

    Args:
        message: of the exception; a student's code may have written it.
    """
    pictures = next((its for its in case.tensors.values() if its.dim() == len(AXES)), None)
    if pictures is None:
        return ""
    lengths = dict(zip(AXES, pictures.shape, strict=True))
    batch = lengths["pictures"]
    scalar, mismatch = SCALAR.search(message[:LONGEST]), MISMATCH.search(message[:LONGEST])
    if scalar and int(scalar[1]) == batch:
        return f"There are {batch} pictures, each with a number of its own: keep them a tensor."
    if not mismatch or int(mismatch[3]) >= len(AXES):
        return ""
    sizes, axis = {int(mismatch[1]), int(mismatch[2])}, AXES[int(mismatch[3])]
    if lengths[axis] not in sizes or len(sizes) < 2:
        return ""
    (other,) = sizes - {lengths[axis]}
    if other == batch and list(lengths.values()).count(batch) == 1:
        return (
            f"There are {batch} pictures and {lengths[axis]} {axis}: a number for each picture "
            f"needs the shape ({batch}, 1, 1, 1)."
        )
    return f"There are {lengths[axis]} {axis} here, not {other}: take lengths from the arguments."
