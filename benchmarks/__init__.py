"""Speed and memory of the methods, each as a ratio against something in the same run."""
