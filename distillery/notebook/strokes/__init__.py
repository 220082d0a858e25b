"""The widgets of stage 5, one file for each thing that is done with them.

canvas      a picture of colours and one of regions, under a brush
request     what is asked for, and the picture without a browser
drawing     the methods of stage 5, as a studio asks for them
studio      the canvas with the run beside it
page        the studio with the course's models, for a page without a notebook
"""
