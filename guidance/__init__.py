"""What you write: one module a stage. A `%%todo` cell of a notebook saves its function here."""
