"""Benchmarks of the package beside other libraries: `python -m benchmarks --help`.

What only compares numbers, without peers that take turns, are the scripts beside this file.
"""
