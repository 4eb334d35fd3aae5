"""Whether the gradient of a variable replaces what there is, or is added to it.

MXNet does not tell the operators of an extension what is asked for, so each variable has to pass
through an operator of its own that is told. For a small model that takes as long as all the rest.
Variables are marked by one function of MXNet's library; listening to it shows which of them need
nothing of the kind.
"""

from typing import Any, Optional, Set

from mxnet.base import _LIB

from ..typing import Array

# MXNet's number of grad_req='add'.
ADD = 3


def replaces(array: Array) -> bool:
    """Whether the gradient of an NDArray is known to replace what there is, or is not asked for."""
    known = _known
    return known is not None and array.handle.value in known


# The handles of variables that were marked without 'add'. None after the first one with it: a
# handle may come to be that of another array, which nobody has marked.
_known: Optional[Set[int]] = set()


def install_requests() -> None:
    """From now on variables are noted as they are marked (idempotent)."""
    mark = _LIB.MXAutogradMarkVariables
    if getattr(mark, "notes_requests", False):
        return

    def mark_and_note(count: Any, variables: Any, requests: Any, gradients: Any) -> int:
        global _known
        status: int = mark(count, variables, requests, gradients)
        for i in range(int(getattr(count, "value", count))):
            if requests[i] == ADD:
                _known = None
            elif _known is not None:
                _known.add(getattr(variables[i], "value", variables[i]))
        return status

    mark_and_note.notes_requests = True  # type: ignore[attr-defined]
    _LIB.MXAutogradMarkVariables = mark_and_note
