"""Collect submissions, and make one clean folder of each."""
