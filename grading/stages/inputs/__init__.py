"""What the inputs of all stages' checks are made from."""
