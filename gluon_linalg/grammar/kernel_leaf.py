"""What descriptions of single kernels have in common."""

import re
from typing import Any, ClassVar, Dict, List, Optional, Tuple, Type

import numpy as np
from pydantic import Field

from ..blocks import kernels
from ..errors import suggestion
from .kernel_inputs import InputNames, SeenColumns
from .section import Columns, Fixable, Positive

NOT_OF_SERIES = "this kernel is for task: gp; series have those alone whose parameters are positive"


class Leaf(Fixable):
    """The kernel of `blocks.kernels` that has the name of the class, with parameters of its own.

    Those that are null start at a typical size.
    """

    # One line for the list of kernels.
    meaning: ClassVar[str]
    # The fields with numbers that are never trained.
    settings: ClassVar[Tuple[str, ...]] = ()
    is_stationary: ClassVar[bool] = True
    # Whether estimators have it: all that it learns is positive, and none of it a network's.
    of_series: ClassVar[bool] = True

    variance: Optional[Positive] = Field(
        None,
        description="The kernel's value where its inputs coincide; null for the mean square of the "
        "target, or in a product for 1 in all kernels but one.",
    )
    columns: Optional[Columns] = Field(
        None, description="The input columns that the kernel sees; null for all."
    )
    fixed: List[str] = Field([], description="The parameters of this kernel that are not trained.")

    @classmethod
    def key(cls) -> str:
        """'rational_quadratic' of RationalQuadratic."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def kernel_class(cls) -> Type[kernels.Kernel]:
        return getattr(kernels, cls.__name__)

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return cls.parameters()

    @classmethod
    def parameters(cls) -> Tuple[str, ...]:
        """The fields that are trained unless they are fixed."""
        others = ("columns", "fixed", *cls.settings)
        return tuple(name for name in cls.model_fields if name not in others)

    def typical(self, columns: SeenColumns) -> Dict[str, Any]:
        """The size of each parameter for a target with a mean square of 1, by its name."""
        return {"variance": 1.0}

    def given(self, name: str, columns: SeenColumns) -> Any:
        """The initial value that the description has; of several, one for each column."""
        value, widths = getattr(self, name), columns.widths
        if isinstance(value, list) and 1 < len(value) == len(widths):
            return np.repeat(value, widths).tolist()
        return value

    def build(self, columns: SeenColumns) -> kernels.Kernel:
        """The kernel; its parameters have shapes, but no initial values yet."""
        values = {name: getattr(self, name) for name in self.settings}
        for name, typical in self.typical(columns).items():
            given = self.given(name, columns)
            values[name] = np.ones(np.shape(typical if given is None else given))
        return self.kernel_class()(active_dims=columns.active_dims, **values)

    def problem(self, inputs: InputNames) -> Optional[Tuple[Tuple[Any, ...], str]]:
        """What does not fit to the inputs, as (keys, message), or None."""
        if not (self.of_series or inputs.of_table):
            return (), NOT_OF_SERIES
        for index, name in enumerate(self.columns or ()):
            if name not in inputs:
                advice = suggestion(name, inputs)
                return ("columns", index), f"'{name}' is not one of {inputs.noun}; {advice}"
        count = inputs.most_values(self.columns)
        for name in self.parameters():
            values = getattr(self, name)
            if isinstance(values, list) and len(values) not in (1, count):
                either = "1" if count in (1, None) else f"1 or {count}"
                columns = (
                    "as many columns as the data have" if count is None else f"{count} columns"
                )
                return (name,), f"{len(values)} values for {columns}; give {either}"
        return None
