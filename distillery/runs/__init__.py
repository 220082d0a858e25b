"""Runs: everything that takes steps and leaves files."""
