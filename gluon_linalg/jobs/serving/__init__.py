"""A trained model behind HTTP, and how fast it is."""
