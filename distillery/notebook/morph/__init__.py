"""The widgets of stage 7, one file for each thing that is done with them.

scrubber       the frames of an animation one by one, played, with their neighbours as ghosts
path_editor    keyframes in order: prompts, seeds and holds
film_palette   the palette of all frames at once
fields         the other controls of a page
worker         what is drawn in a thread
drawing        the run of `python main.py morph`, as a page asks for it
keeping        the files of a finished animation
studio         the controls with the animation beside them
page           the studio with the course's models, for pages without a notebook
"""
