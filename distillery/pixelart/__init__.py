"""Pixel art: pictures whose every pixel is one colour of a palette, distilled from a prior.

    settings            everything that decides a picture, declared once
    canvas              the grid of palette logits that is optimised
    initial_grid        how the grid starts: an image, a drawing of the model, noise, a painting
    clip_choice         which drawing to start from, and which moment of a run to keep
    smoothness_losses   losses for smooth pictures, in addition to the Fourier loss
    augment             one warp for the picture and for the ControlNets' pictures
    indexed_png         output files: indexed PNGs, layers, other palettes
    begin               how a run begins, and which files it writes

The method itself is `reference/pixelart.py`, or a student's `guidance/pixelart.py`.
"""
