"""How the lines of a failed check begin; the feedback page reads them again.

Importing this module does not load torch.
"""

WANTED = "wanted"
GOT = "got"
CAUSE = "This is what you get when "
TWO = "two things are wrong: "  # how the sentence of two mistakes that are known together begins
ALSO = "and at the same time when "  # a second mistake, after the cause
