"""What students are given: models, schedules, canvases, the optimisation loop and scores.

Nothing is imported here, so that a command line can say --help without waiting for torch.
"""
