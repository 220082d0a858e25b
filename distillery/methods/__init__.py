"""Further methods of score distillation, one file each, which read like their papers.

Every module has the same `loss` as the stages, so it can be used in their place.
"""
