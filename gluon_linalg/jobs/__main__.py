"""``python -m gluon_linalg.jobs`` is ``gluon-linalg``."""

from .cli import main

main()
