"""The coursework: student files, the `%%todo` magic, checks, the pictures of a submission."""
