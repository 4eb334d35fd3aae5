"""How models are described in plain words: job files and estimators share these sections."""
