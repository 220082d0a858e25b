"""What instructors run; students get `validate` and `pack` of it, and nothing that knows answers."""
