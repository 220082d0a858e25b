"""Records, nbgrader's gradebook, and what stands between them."""
