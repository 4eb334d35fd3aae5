"""Copies of blocks, and of their parameters."""

import copy
from typing import Any, Dict, Optional, Set, Tuple

import mxnet as mx


def frozen_copies(prefix: str, *blocks: Optional[mx.gluon.HybridBlock]) -> Tuple[Any, ...]:
    """Copies of `blocks` with parameters of their own, which no trainer changes any more.

    What the blocks share the copies share, too. `prefix` comes before the names of all blocks and
    parameters, so that originals and copies can be parts of one network. A block may be None.
    """
    twins = copy.deepcopy(blocks)
    renamed: Set[int] = set()
    for twin in twins:
        if twin is not None:
            twin.apply(lambda part: _rename(part, prefix, renamed))
            twin.collect_params().setattr("grad_req", "null")
    return twins


def _rename(block: Any, prefix: str, renamed: Set[int]) -> None:
    if id(block) in renamed:
        return
    renamed.add(id(block))
    # A compiled graph has the old names.
    block._clear_cached_op()
    block._prefix, block._name = prefix + block._prefix, prefix + block._name
    parameters, block._params._params = list(block._params.values()), {}
    block._params._prefix, block._params._shared = prefix + block._params._prefix, None
    for parameter in parameters:
        if id(parameter) not in renamed:
            renamed.add(id(parameter))
            parameter.name, parameter._var = prefix + parameter.name, None
        block._params._params[parameter.name] = parameter


def install_copies() -> None:
    """From now on copies of Gluon parameters, pickled or deep-copied, can be trained (idempotent).

    MXNet copies the numbers and forgets that they have a gradient; a trainer and what it holds stay
    with the original.
    """
    mx.gluon.Parameter.__getstate__ = _state
    mx.gluon.Parameter.__setstate__ = _set_state


def _state(parameter: Any) -> Dict[str, Any]:
    return {**parameter.__dict__, "_trainer": None, "_var": None}


def _set_state(parameter: Any, state: Dict[str, Any]) -> None:
    parameter.__dict__.update(state)
    if parameter._grad is not None:
        mx.autograd.mark_variables(parameter._data, parameter._grad, parameter._grad_req)
