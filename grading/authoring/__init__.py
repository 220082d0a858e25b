"""From `reference/` and the notebook sources to everything that is built."""
