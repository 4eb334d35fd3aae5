"""The task ``pca``: principal component analysis."""
