"""What grading knows of stage 2, PDS."""
