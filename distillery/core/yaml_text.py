"""YAML in which a name that is given twice is a mistake, and not the last of both."""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Only plain values, and each name of a mapping once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As yaml's own; raises `yaml.YAMLError` at the second place of a name."""
        names = set()
        for key, _ in node.value:
            if key.value in names and isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem=f"has {key.value} a second time", problem_mark=key.start_mark
                )
            names |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        return super().construct_mapping(node, deep)


def values_of(text: str) -> Any:
    """What a text in YAML holds.

    Raises:
        yaml.YAMLError: it is no YAML, has a name twice, or is too deep.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is too deep") from error
