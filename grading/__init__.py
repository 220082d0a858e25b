"""What instructors run; of it students get `validate` and `pack`, and nothing with an answer."""
