"""Names of what a job makes, in its exported files, that no earlier work of the process changes."""

import contextlib
from collections import defaultdict
from typing import Iterator

import mxnet as mx


@contextlib.contextmanager
def counted_anew() -> Iterator[None]:
    """Within the block MXNet numbers blocks, operators and loops from 0 on.

    It counts in the whole process, also what a job file was checked with; and a training that is
    continued has made other things before than one that ran through.
    """
    loops = mx.AttrScope._subgraph_names
    mx.AttrScope._subgraph_names = defaultdict(int)
    try:
        with mx.name.NameManager():
            yield
    finally:
        mx.AttrScope._subgraph_names = loops
