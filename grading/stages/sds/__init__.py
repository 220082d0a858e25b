"""What grading knows of stage 1, SDS."""
