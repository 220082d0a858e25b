"""The widgets of stage 7, one file for each thing that is done with them.

scrubber   the frames of an animation one by one, played, with their neighbours as ghosts
"""
