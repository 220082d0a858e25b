"""What grading knows of stage 5."""
