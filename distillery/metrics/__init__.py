"""How good a picture is: CLIP score, likeness to the source, the judge of toybox pictures."""
