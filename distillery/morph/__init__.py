"""From prompt to prompt: a looping animation in pixels. `python main.py morph`."""
