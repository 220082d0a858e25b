"""From one submission to its record."""
