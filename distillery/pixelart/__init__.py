"""Pixel art: pictures whose every pixel is one colour of a palette, distilled from a prior.

    settings           all that decides a picture, as one dataclass in commented YAML
    begin              from settings to a run: what `distillery.runs` carries out
    method             what a run needs of a module of functions
    canvas             the grid of palette logits that is optimised
    initial_grid       the grid at first: from an image, a drawing of the model, noise, a painting
    moments            the states of a run that one can go back to
    clip_choice        which drawing to start from and which moment of a run to keep, by CLIP
    smoothness_losses  what keeps neighbours alike, in addition to the Fourier loss
    augment            one warp for the picture and what the ControlNets are shown
    debug_pictures     what happens inside a step, as pictures
    indexed_png        indexed PNGs, layers, other palettes
    frame_grid         frames of an animation on a grid: a colour for each cell
    sequence           an animation in one palette, without flicker
    animation          a sequence and how it is played, and what of it is transparent
    gif_file           GIFs with one palette and every frame, and a reader of any GIF
    animation_files    APNG, MP4, sprite sheet and contact sheet
    pixelate           a folder of pictures as pixel art in one palette
    cli                the command lines of `main.py pixelart` and `main.py recolour`

The method itself is `reference/pixelart.py`, or a student's `guidance/pixelart.py`.
"""
