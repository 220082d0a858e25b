"""What an instructor gives out: the course folder of a class, and students' bundles."""
