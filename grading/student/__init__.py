"""What students run before they hand in, and the texts of their copy."""
