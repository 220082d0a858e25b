"""A class on JupyterHub: its folder, its exchange, and a course folder for each student."""
