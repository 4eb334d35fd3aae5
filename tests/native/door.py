"""The compiled library called as MXNet calls it, without MXNet: arrays in, arrays out.

With a library of another path it serves for builds with a sanitizer, which MXNet itself would
drown in reports of its own.
"""

import ctypes

import numpy as np

PREFIX = "_gluon_linalg_"
TYPES = {"float32": 0, "float64": 1}
POINTER = ctypes.c_void_p


class Door:
    """The operators of one library."""

    def __init__(self, path):
        self._library = ctypes.CDLL(str(path))
        self._library._opCallFree.argtypes = [POINTER]
        self._library._opCallDestroyOpState.argtypes = [POINTER]
        self._library.gluon_linalg_level.restype = ctypes.c_char_p
        assert self._library.initialize(10901), self._message()
        self._entries = {}
        for index in range(self._library._opRegSize()):
            entry = _Entry(self._library, index)
            self._entries[entry.name] = entry

    @property
    def level(self):
        return self._library.gluon_linalg_level().decode()

    @property
    def names(self):
        return sorted(self._entries)

    def forward(self, name, *arrays, **keywords):
        """The outputs, a list."""
        return self.call(name, *arrays, **keywords).outputs

    def call(self, name, *arrays, **keywords):
        """A `Node`, whose `backward` gives gradients."""
        return Node(self, self._entries[name], [np.ascontiguousarray(a) for a in arrays], keywords)

    def _check(self, status):
        if not status:
            raise ValueError(self._message())

    def _message(self):
        text = ctypes.c_char_p()
        if self._library._msgSize():
            self._library._msgGet(0, ctypes.byref(text))
        return (text.value or b"").decode()


class Node:
    """One call of an operator, which keeps what its backward needs."""

    def __init__(self, door, entry, inputs, keywords):
        self._door, self._entry, self._inputs = door, entry, inputs
        self._keys = _texts(keywords)
        self._values = _texts([_text(value) for value in keywords.values()])
        self._state = POINTER()
        dtypes = {a.dtype.name for a in inputs}
        assert len(dtypes) == 1, dtypes
        (self._dtype,) = dtypes
        self.outputs = [np.full(shape, np.nan, self._dtype) for shape in self._shapes()]
        if entry.keeps:
            status = self._library._opCallCreateOpState(
                entry.create, *self._keywords(), b"cpu", 0, None, None, 0, None,
                ctypes.byref(self._state),
            )  # fmt: skip
            door._check(status)
        self._run(True, inputs, self.outputs)

    def backward(self, *gradients):
        """The gradients of the inputs, for those of the outputs."""
        gradients = [np.ascontiguousarray(g, self._dtype) for g in gradients]
        # What is there must not matter: MXNet gives memory as it comes.
        results = [np.full(a.shape, np.nan, self._dtype) for a in self._inputs]
        self._run(False, [*gradients, *self._inputs, *self.outputs], results)
        return results

    @property
    def has_backward(self):
        return bool(self._entry.keeps or self._entry.backward)

    def __del__(self):
        if self._state.value:
            self._library._opCallDestroyOpState(self._state)

    @property
    def _library(self):
        return self._door._library

    def _keywords(self):
        return self._keys, self._values, len(self._keys)

    def _counts(self):
        inputs, outputs = ctypes.c_int(), ctypes.c_int()
        status = self._library._opCallParseAttrs(
            self._entry.rule, *self._keywords(), ctypes.byref(inputs), ctypes.byref(outputs)
        )
        self._door._check(status)
        return inputs.value, outputs.value

    def _shapes(self):
        inputs, outputs = self._counts()
        assert inputs == len(self._inputs), f"{self._entry.name} takes {inputs} arrays"
        sizes = [(ctypes.c_uint * max(a.ndim, 1))(*a.shape) for a in self._inputs]
        pointers = (ctypes.POINTER(ctypes.c_uint) * inputs)(
            *(ctypes.cast(s, ctypes.POINTER(ctypes.c_uint)) for s in sizes)
        )
        axes = (ctypes.c_int * inputs)(*(a.ndim for a in self._inputs))
        again = ctypes.POINTER(ctypes.POINTER(ctypes.c_uint))()
        axes_again = ctypes.POINTER(ctypes.c_int)()
        found = ctypes.POINTER(ctypes.POINTER(ctypes.c_uint))()
        axes_found = ctypes.POINTER(ctypes.c_int)()
        status = self._library._opCallInferShape(
            self._entry.rule, *self._keywords(), pointers, axes, inputs,
            ctypes.byref(again), ctypes.byref(axes_again),
            ctypes.byref(found), ctypes.byref(axes_found), outputs,
        )  # fmt: skip
        self._door._check(status)
        shapes = [tuple(found[i][k] for k in range(axes_found[i])) for i in range(outputs)]
        for pairs, count in ((again, inputs), (found, outputs)):
            for i in range(count):
                self._library._opCallFree(pairs[i])
            self._library._opCallFree(pairs)
        for array in (axes_again, axes_found):
            self._library._opCallFree(array)
        return shapes

    def _run(self, forward, inputs, outputs):
        given = [*_described(inputs, self._dtype), *_described(outputs, self._dtype)]
        rest = [None] * 7 + [
            (ctypes.c_int * max(len(inputs), 1))(),
            (ctypes.c_int * max(len(outputs), 1))(),
        ] + [None] * 10  # fmt: skip
        if self._entry.keeps:
            status = self._library._opCallFStatefulCompute(int(forward), self._state, *given, *rest)
        else:
            handle = self._entry.forward if forward else self._entry.backward
            status = self._library._opCallFCompute(handle, *self._keywords(), *given, *rest)
        self._door._check(status)


class _Entry:
    def __init__(self, library, index):
        name, flag = ctypes.c_char_p(), ctypes.c_int()
        devices = [ctypes.POINTER(ctypes.c_char_p)() for _ in range(3)]
        handles = [ctypes.POINTER(POINTER)() for _ in range(3)]
        counts = [ctypes.c_int() for _ in range(3)]
        rules = [POINTER() for _ in range(5)]
        library._opRegGet(
            index,
            ctypes.byref(name),
            ctypes.byref(flag),
            *(ctypes.byref(x) for triple in zip(devices, handles, counts) for x in triple),
            *map(ctypes.byref, rules),
        )
        self.name = name.value.decode()[len(PREFIX) :]
        self.rule = rules[0]
        self.keeps = bool(counts[2].value)
        self.forward = POINTER(handles[0][0])
        self.backward = POINTER(handles[1][0]) if counts[1].value else None
        self.create = POINTER(handles[2][0])


def _described(arrays, dtype):
    """What MXNet tells of arrays: shapes, numbers of axes, addresses, types, versions, devices."""
    count = max(len(arrays), 1)
    sizes = [(ctypes.c_int64 * max(a.ndim, 1))(*a.shape) for a in arrays]
    shapes = (ctypes.POINTER(ctypes.c_int64) * count)(
        *(ctypes.cast(s, ctypes.POINTER(ctypes.c_int64)) for s in sizes)
    )
    return (
        shapes,
        (ctypes.c_int * count)(*(a.ndim for a in arrays)),
        (POINTER * count)(*(a.ctypes.data for a in arrays)),
        (ctypes.c_int * count)(*(TYPES[dtype] for _ in arrays)),
        (ctypes.c_size_t * count)(),
        (ctypes.c_char_p * count)(*(b"cpu" for _ in arrays)),
        (ctypes.c_int * count)(),
        len(arrays),
    )


def _texts(texts):
    return (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))


def _text(value):
    return value if isinstance(value, str) else repr(value)
