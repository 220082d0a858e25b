"""From what was handed in to one clean folder for each submission."""
