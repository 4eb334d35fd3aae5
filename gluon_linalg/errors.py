"""The errors of this package, and how MXNet's own errors become them.

MXNet runs asynchronously: a failing operator raises where its result is read, with a message
from C++. `install_translation` uses MXNet's public error registry so that such a message reaches
the user as one of the classes below, whichever block, execution mode or loop read the result.
"""

import contextlib
import difflib
import re
import unicodedata
from typing import Any, Iterable, List, Optional, Sequence, Union

import mxnet as mx
import numpy as np

CHOLESKY_REMEDY = (
    "Add noise or jitter (jitter='auto' finds the smallest that works), remove duplicate rows, "
    "or compute in float64"
    " (GPLikelihoodLayer: precision='float64')."
)


class LinearAlgebraError(mx.base.MXNetError, ValueError):
    """Base class: a matrix or an argument for which the result does not exist."""


class NotPositiveDefiniteError(LinearAlgebraError):
    """A matrix that had to be positive definite is not."""


class SingularMatrixError(LinearAlgebraError):
    """A matrix that had to be invertible is not."""


class UnidentifiedError(LinearAlgebraError):
    """A quantity that the data leave open: any value of it explains them as well."""


class NonFiniteError(LinearAlgebraError):
    """NaN or infinity where a number had to be. Jitter never repairs these."""


class TimeOrderError(LinearAlgebraError):
    """Times that run backwards where they have to go forwards."""


class ShapeError(LinearAlgebraError):
    """An array whose shape does not fit; the message names the rule and the remedy."""


class DtypeError(mx.base.MXNetError, TypeError):
    """An array of a dtype that linear algebra is not defined for, or a mix of dtypes."""


class ContextError(LinearAlgebraError):
    """Arrays or parameters that live on different devices."""


class ExportError(LinearAlgebraError):
    """An exported graph that does not reproduce the block it came from."""


# Raised in a backward pass, where MXNet keeps neither class nor message.
_remembered: List[Exception] = []


def remembered(error: Exception) -> Exception:
    """`error`, to be raised in a backward pass, so that it is the one that reaches the reader."""
    _remembered[:] = [error]
    return error


def _from_mxnet_error(message: str) -> Exception:
    """LAPACK's complaints and refusals of graphs, in words; all else stays an MXNetError."""
    if "kCustomFunctionBackward" in message:
        # At once: another thread may take it between a look and a pop.
        with contextlib.suppress(IndexError):
            return _remembered.pop()
    found = re.search(r"ret == 0 \((\d+) vs\. 0\) : [sd]potrf failed", message)
    if found:
        return NotPositiveDefiniteError(
            "a matrix given to a Cholesky factorization (potrf) is not positive definite: its "
            f"leading minor of order {found.group(1)} is not positive. {CHOLESKY_REMEDY} "
            "gluon_linalg.explain(net, *inputs) names the block and the batch element."
        )
    if re.search(r"[sd](getrf|getri|potri|trtri)\w* failed|non-convertible|[Ss]ingular", message):
        return SingularMatrixError(
            "a matrix to be inverted is singular (LU found a zero pivot). Regularize it, or solve "
            "the least-squares problem instead."
        )
    return _from_a_check(message) or mx.base.MXNetError(message)


def _from_a_check(message: str) -> Optional[Exception]:
    """The error of an operator that a graph has as a check, which tells of it by its name."""
    found = re.search(r"expected (\w*int\d+|\w*float\d+), got (\w*int\d+|\w*float\d+)", message)
    if found:
        return _mixed_dtypes(message, *found.groups())
    found = re.search(r"Error in operator \S*columns__(\S+)__(\w+):", message)
    if not found:
        return None
    kernel, argument = found.groups()
    out_of_range = re.search(r"end=(\d+) as axis_size is (\d+)", message)
    if out_of_range:
        end, columns = map(int, out_of_range.groups())
        return no_such_column(kernel, end - 1, columns)
    without_end = re.search(r"begin=(\d+), end=None", message)
    if without_end:
        begin = without_end.group(1)
        return ShapeError(f"{kernel}: active_dims has column {begin}, but 'x' has fewer columns.")
    shapes = re.findall(r"\[([\d,]+)\]", message)[-2:]
    columns, values = (int(shape.split(",")[-1]) for shape in shapes)
    if argument in ("x", "z"):
        other = "'x'" if argument == "z" else "the data it was conditioned on"
        return ShapeError(f"{kernel}: '{argument}' has {columns} columns, {other} has {values}.")
    return wrong_columns(kernel, argument, values, columns)


def _mixed_dtypes(message: str, first: str, second: str) -> Exception:
    named = re.search(r"operator \S*dtype__(\S+)__(\w+)__(float\d+):", message)
    if named:
        block, argument, wanted = named.groups()
        given = first if second == wanted else second
        return DtypeError(
            f"{block}: '{argument}' is {given} and the block is {wanted}. Cast the network, or use "
            f"array.astype('{wanted}')."
        )
    where = re.search(r"Error in operator (\S+):", message)
    return DtypeError(
        f"{where.group(1) if where else 'MXNet'}: an array of {first} meets one of {second}. Bring "
        "inputs and parameters to one dtype: net.cast('float64') or array.astype('float64')."
    )


def wrong_columns(kernel: str, argument: str, values: int, columns: int) -> ShapeError:
    """The error for a hyperparameter with another number of values than x has columns."""
    seen = "1 column" if columns == 1 else f"{columns} columns"
    fitting = "one number" if columns == 1 else f"one number or {columns}"
    return ShapeError(
        f"{kernel}: '{argument}' has {values} values, but the kernel sees {seen} of 'x'. Give "
        f"{fitting}, or choose {values} columns with active_dims."
    )


def no_such_column(kernel: str, column: int, columns: int) -> ShapeError:
    """The error for an active_dims beyond the columns of x."""
    there = "column 0 only" if columns == 1 else f"columns 0 to {columns - 1}"
    return ShapeError(f"{kernel}: active_dims has column {column}, but 'x' has {there}.")


def listing(indices: Union[Sequence[Any], np.ndarray], most: int = 8) -> str:
    """Indices in words, the first `most` of them: '0, 3, 7'."""
    shown = ", ".join(str(i) for i in indices[:most])
    return shown if len(indices) <= most else f"{shown}, ..."


def suggestion(name: object, choices: Iterable[object]) -> str:
    """What to write instead of `name`: the nearest of the choices, or all of them."""
    names = [str(choice) for choice in choices]
    for own in names:
        if _composed(own) == _composed(str(name)) and own != str(name):
            return (
                f"'{own}' looks the same and is made of other Unicode characters (NFC, NFD): "
                "copy the name from there"
            )
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"expected one of {', '.join(names)}" if names else "there is none"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def install_translation() -> None:
    """Registers the translation with MXNet (idempotent)."""
    mx.error.register("MXNetError", _from_mxnet_error)
