"""Batches of matrix decompositions with gradients."""
