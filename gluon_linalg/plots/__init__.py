"""Pictures in matplotlib: of jobs, and of what `gluon_linalg.analyze` tells."""
