"""What grading knows of stage 6."""
