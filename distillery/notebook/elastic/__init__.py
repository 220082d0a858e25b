"""The widgets of stage 6, one file for each thing that is done with them.

recording   what ElasticDiffusion did, step by step
panels      pictures side by side over the steps of a run
viewer      windows and reference of every step, drawn over its picture
scores      direction and unconditional score of every step, in colours
sizes       finished pictures by method and size, and how many things are in them
request     what is asked for on a page, and what draws it
fields      the controls of a page
page_file   pictures that the reader opens and saves
drawing     the run of `python main.py elastic`, as a page asks for it
studio      the controls with the run beside them
page        the studios with the course's models, for pages without a notebook
"""
