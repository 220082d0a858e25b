"""Methods, one file each beside its paper: they read like the paper, and know nothing of files.

Those of score distillation have the same `loss` as the stages, so each can be used in their place:
`registry` names them. The others are samplers, and ways to steer one: `stroke_methods` names those
of stage 5.
"""
