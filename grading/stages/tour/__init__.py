"""What grading knows of the tour."""
