"""Copies of blocks that no longer follow the training of the original."""

import copy

from .._runtime import import_mxnet

mx = import_mxnet()


def frozen_copy(block):
    """A copy of `block` with copies of its parameters, which no trainer changes any more."""
    if block is None:
        return None
    # Compiled graphs and trainers belong to the original: copy.deepcopy takes None for them.
    memo = {}
    block.apply(lambda part: memo.update({id(part._cached_op): None, id(part._cached_graph): ()}))
    for parameter in block.collect_params().values():
        memo[id(parameter._trainer)] = None
        memo[id(parameter._var)] = None
    twin = copy.deepcopy(block, memo)
    twin.apply(lambda part: part._clear_cached_op())
    twin.collect_params().setattr("grad_req", "null")
    return twin
