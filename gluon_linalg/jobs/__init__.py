"""The training job: a model described in a file, trained and exported from the command line."""
