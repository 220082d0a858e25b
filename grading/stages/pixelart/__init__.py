"""What grading knows of stage 4, pixel art."""
