"""The pretrained models: one contract, the priors that keep it, and how they are loaded."""
