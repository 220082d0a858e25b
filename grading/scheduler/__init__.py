"""Grade a whole class in parallel, in processes of this machine or on a cluster."""
