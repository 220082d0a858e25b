"""What the notebooks show: figures and widgets."""
