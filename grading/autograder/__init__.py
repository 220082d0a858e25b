"""Graders that others run: what goes to them, and what grades one submission there."""
