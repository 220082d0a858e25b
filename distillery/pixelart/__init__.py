"""Pixel art: pictures whose every pixel is one colour of a palette, distilled from a prior.

    settings   all that decides a picture, as one dataclass in commented YAML
    canvas     the grid of palette logits that is optimised
    start      what the grid is at first: an image, a drawing of the model, noise, a painting
    choice     which drawing to start from and which moment of a run to keep, by CLIP
    smooth     what keeps neighbours alike beside the Fourier loss
    augment    one warp for the picture and what the ControlNets are shown
    products   indexed PNGs, layers, other palettes
    run        the program: files, checkpoints, the making as a video

The method itself is `reference/pixelart.py`, or a student's `guidance/pixelart.py`.
"""
