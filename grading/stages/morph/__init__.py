"""What grading knows of stage 7."""
