"""The methods by name: where the code of each is, and what it needs in addition to the prompt."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One way to distil.

    module: in `guidance` and `reference`, or the whole name of one that is given.
    chain:  its function that makes one step's loss.
    edits:  whether it starts from a picture, which it changes.
    learns: whether it trains a LoRA together with the canvas.
    """

    module: str
    chain: str = "loss"
    edits: bool = False
    learns: bool = False

    def module_name(self, implementation: str) -> str:
        """The module's whole name: "reference.sds" for the implementation "reference"."""
        return self.module if "." in self.module else f"{implementation}.{self.module}"


METHODS = {
    "sds": Method("sds"),
    "pds": Method("pds", edits=True),
    "dds": Method("pds", chain="dds", edits=True),
    "vsd": Method("vsd", learns=True),
    "csd": Method("distillery.methods.csd"),
    "sdi": Method("distillery.methods.sdi"),
    "ism": Method("distillery.methods.ism"),
}
