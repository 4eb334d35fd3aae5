"""The task ``lda``: linear discriminant analysis."""
