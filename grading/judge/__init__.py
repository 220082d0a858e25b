"""Grade one submission, and look for copied work in a class."""
