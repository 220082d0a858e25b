"""What instructors run. Nothing that a student receives imports it."""
