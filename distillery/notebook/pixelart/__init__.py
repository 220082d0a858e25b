"""The widgets of stage 4, one file for each thing that is done with them.

screen           pictures for the screen: crisp pixels, captions, checkerboards
preview          runs that are watched
looking          temperatures, entropies, layers and other colours
palette_editor   colours in a row
painter          an index grid under a brush
"""
