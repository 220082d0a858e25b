"""The answers: the only place in the tree where one stands. `guidance/` is built from here."""
