"""What grading knows of stage 3, VSD."""
