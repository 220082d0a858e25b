"""What all of grading stands on: rules, records, manifests, nbgrader's settings."""
