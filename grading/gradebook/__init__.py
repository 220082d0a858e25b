"""nbgrader's gradebook: the plugins that fill it, and the late penalties."""
