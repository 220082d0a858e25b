"""How good a picture is: CLIP score, likeness to the source, and what judge and counter see."""
