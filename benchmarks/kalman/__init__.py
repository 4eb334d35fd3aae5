"""State space models: likelihood and smoother with the gradients of every array."""
