"""More methods of score distillation to dare, one file each, which read like their papers.

Every module has the course's common `loss`, so it goes wherever a stage's module goes.
"""
