"""The rule for the arguments of a block: by position or by name, and which axes they have."""

from ..errors import ShapeError, suggestion


def bound(block, arguments, required, args, keywords):
    """The arguments of a call in their order, without the optional ones at the end that are None.

    block: its name; arguments: as in `LinearAlgebraBlock`. Raises TypeError.
    """
    names = [name for name, _ in arguments]
    if len(args) > len(names):
        raise TypeError(f"{block}: got {len(args)} arguments, expected {_expected(arguments)}.")
    for name in keywords:
        if name not in names:
            raise TypeError(f"{block}: there is no argument '{name}'; {suggestion(name, names)}")
        if name in names[: len(args)]:
            raise TypeError(f"{block}: '{name}' is given twice, by position and by name.")
    given = list(args) + [keywords.get(name) for name in names[len(args) :]]
    missing = [name for name, value in zip(names[:required], given) if value is None]
    if missing:
        count = sum(value is not None for value in given)
        raise TypeError(
            f"{block}: got {count} arguments, without '{missing[0]}'; expected "
            f"{_expected(arguments)}."
        )
    while given[-1] is None:
        given.pop()
    return tuple(given)


def _expected(arguments):
    return ", ".join(f"{name} ({axes})" for name, axes in arguments)


def axis_sizes(block, given):
    """The size of each letter; given: triples of a name, its axes and a shape. ShapeError."""
    sizes, owner, misfits = {}, {}, []
    for name, axes, shape in given:
        letters = axes.split()
        if len(shape) != len(letters):
            misfits.append((name, letters, shape))
            continue
        if 0 in shape:
            raise ShapeError(f"{block}: '{name}' is empty, shape {shape}.")
        for letter, size in zip(letters, shape):
            if letter.endswith("?"):
                letter = letter[:-1]
                if size == 1:
                    continue
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(
                    f"{block}: '{name}' has shape {shape} for ({', '.join(letters)}), but "
                    f"{letter} is {sizes[letter]} in '{owner[letter]}'."
                )
            owner.setdefault(letter, name)
    for name, letters, shape in misfits:
        raise ShapeError(
            f"{block}: '{name}' has shape {shape}, expected {len(letters)} axes "
            f"({', '.join(letters)}){_remedy(shape, letters, sizes)}."
        )
    return sizes


def _remedy(shape, letters, sizes):
    """Which axis of size 1 to add or to drop, if one makes the array fit the others."""
    if len(shape) == len(letters) - 1:
        places = [
            axis
            for axis in range(len(letters))
            if _fits(shape[:axis] + (1,) + shape[axis:], letters, sizes)
        ]
        if places:
            what = "the batch axis" if places[0] == 0 and letters[0][0] == "B" else "an axis"
            return f"; add {what} with array.expand_dims(axis={places[0]})"
    if len(shape) == len(letters) + 1:
        for axis, size in enumerate(shape):
            if size == 1 and _fits(shape[:axis] + shape[axis + 1 :], letters, sizes):
                return f"; drop an axis of size 1 with array.squeeze(axis={axis})"
    return ""


def _fits(shape, letters, sizes):
    """Whether an array of this shape agrees with the others, and with itself."""
    sizes = dict(sizes)
    for letter, size in zip(letters, shape):
        if letter.endswith("?") and size == 1:
            continue
        if sizes.setdefault(letter.rstrip("?"), size) != size:
            return False
    return True
