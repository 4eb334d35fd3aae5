"""Names of earlier versions, which still work and tell the new ones."""

import functools
import warnings
from typing import Any, Callable, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def renamed_arguments(**new_names: str) -> Callable[[Function], Function]:
    """A decorator, ``renamed_arguments(old="new")``: old names of arguments work, with a warning.

    Both at once are a TypeError.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def renamed(*args: Any, **keywords: Any) -> Any:
            for old, new in new_names.items():
                if old not in keywords:
                    continue
                if new in keywords:
                    raise TypeError(f"{function.__name__}: '{old}' is '{new}' now; give one.")
                _warn(f"{function.__name__}: the argument '{old}' is called '{new}' now")
                keywords[new] = keywords.pop(old)
            return function(*args, **keywords)

        return renamed  # type: ignore[return-value]

    return decorate


def _warn(text: str) -> None:
    # Whom it concerns called what calls this.
    warnings.warn(text, DeprecationWarning, stacklevel=3)
