"""The basis of grading: rules, records, manifests, nbgrader's settings."""
