"""Arguments of kernels: anything that holds numbers becomes a NumPy array that Rust can read, or a clear error."""

import sys
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# What needs no conversion: numbers of the machine's own byte order.
_NATIVE = {np.dtype(np.float64): "float64", np.dtype(np.float32): "float32"}


class Table(NamedTuple):
    """Rows of numbers: 16-bit formats come as their bits, and `dtype` says which they are."""

    values: NDArray[Any]
    dtype: str
    is_one_row: bool

    def shaped(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """One value a row, or a 0-d array where one row was passed as a vector."""
        return rows.reshape(()) if self.is_one_row else rows


def table(x: ArrayLike, name: str) -> Table:
    """Rows of classes as float64, float32, float16 or bfloat16, without a copy where that is possible."""
    if type(x) is np.ndarray and x.ndim == 2 and x.size and x.flags.c_contiguous and x.flags.aligned:
        name_of_dtype = _NATIVE.get(x.dtype)  # what follows would find the same out in twenty times as long
        if name_of_dtype is not None:
            return Table(x, name_of_dtype, False)
    values, dtype = _floats(to_numpy(x, name), name)
    if values.ndim not in (1, 2):
        raise ValueError(
            f"`{name}` must have shape (n_rows, n_classes) or (n_classes,), but its shape is {values.shape}; "
            f"for more axes use {name}.reshape(-1, n_classes)"
        )
    _refuse_empty(values, name)
    return Table(_side_by_side(np.atleast_2d(values)), dtype, values.ndim == 1)


def table_pair(p: ArrayLike, q: ArrayLike) -> tuple[Table, Table]:
    """Two tables of one shape and dtype."""
    first, second = table(p, "p"), table(q, "q")
    if first.dtype != second.dtype:
        raise TypeError(
            f"`p` and `q` must have one dtype, but have {first.dtype} and {second.dtype}; convert one of them"
        )
    if first.values.shape != second.values.shape or first.is_one_row != second.is_one_row:
        shapes = [t.values.shape[t.is_one_row :] for t in (first, second)]
        raise ValueError(f"`p` and `q` must have one shape, but have {shapes[0]} and {shapes[1]}")
    return first, second


def vector(x: ArrayLike, name: str) -> NDArray[np.float64]:
    """A 1-d float64 array with at least one element."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.ndim == 1 and x.size and x.flags.carray:
        return x
    values = np.ascontiguousarray(_float64(x, name))
    if values.ndim != 1:
        raise ValueError(f"`{name}` must have shape (n,), but its shape is {values.shape}")
    _refuse_empty(values, name)
    return values


def vector_pair(x: ArrayLike, y: ArrayLike, names: tuple[str, str] = ("x", "y")) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two 1-d float64 arrays of one length."""
    first, second = vector(x, names[0]), vector(y, names[1])
    if first.size != second.size:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have one length, but have {first.size} and {second.size} elements"
        )
    return first, second


def matrix(x: ArrayLike, name: str, axes: str) -> NDArray[np.float64]:
    """A 2-d float64 array without gaps, with at least one element."""
    values = np.ascontiguousarray(_float64(x, name))
    if values.ndim != 2:
        raise ValueError(f"`{name}` must have shape {axes}, but its shape is {values.shape}")
    _refuse_empty(values, name)
    return values


def array(x: ArrayLike, name: str) -> NDArray[np.float64]:
    """A float64 array of any rank with at least one element."""
    values = _float64(x, name)
    _refuse_empty(values, name)
    return values


def integers(x: ArrayLike, name: str) -> NDArray[np.int64]:
    """A 1-d int64 array; a single number is one element."""
    values = np.atleast_1d(to_numpy(x, name))
    if values.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers, but its dtype is {values.dtype}; use {name}.astype(int)")
    if values.ndim != 1:
        raise ValueError(f"`{name}` must have shape (n,), but its shape is {values.shape}")
    _refuse_empty(values, name)
    return np.ascontiguousarray(values, dtype=np.int64)


def count(n: int, name: str) -> int:
    """A positive whole number."""
    if isinstance(n, bool) or (number := index(n)) < 1:
        raise ValueError(f"`{name}` must be a positive integer, but it is {n!r}")
    return number


def seed_of(seed: int) -> int:
    """A seed of 64 bits."""
    if not 0 <= (number := index(seed)) < 2**64:
        raise ValueError(f"`seed` must lie in 0 to 2**64 - 1, but it is {seed}")
    return number


def to_numpy(x: Any, name: str) -> NDArray[Any]:
    """Any array as a NumPy one, on the memory that it has; bfloat16 keeps its bits (see `_floats`)."""
    if isinstance(x, np.ndarray):
        return x
    if type(x).__module__.partition(".")[0] == "torch":
        return _from_torch(x, name)
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"`{name}` must hold numbers in rows of one length; {error}") from error


def _from_torch(x: Any, name: str) -> NDArray[Any]:
    if x.device.type != "cpu":
        raise ValueError(f"`{name}` must be in the memory of the CPU, but it is on {x.device}; use {name}.cpu()")
    tensor = x.detach()
    torch = sys.modules["torch"]
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    bits = tensor.view(torch.uint16).numpy()
    return bits.view(_BFLOAT16_BITS)


# NumPy has no bfloat16; a record of one field of 16 bits carries both the bits and what they are.
_BFLOAT16_BITS = np.dtype([("bfloat16", np.uint16)])


def _floats(values: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    """Values in a format that kernels read, native and aligned; 16-bit formats as their bits."""
    if values.dtype == _BFLOAT16_BITS or values.dtype.name == "bfloat16":
        return values.view(np.uint16), "bfloat16"
    if values.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` must hold real numbers, but its dtype is {values.dtype}")
    dtype = values.dtype.newbyteorder("=") if values.dtype.name in ("float16", "float32") else np.dtype(np.float64)
    if values.dtype != dtype or not values.flags.aligned:
        values = np.require(values, dtype, "A")
    return (values.view(np.uint16), "float16") if dtype == np.float16 else (values, dtype.name)


def _float64(x: ArrayLike, name: str) -> NDArray[np.float64]:
    values, dtype = _floats(to_numpy(x, name), name)
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.view(np.float16).astype(np.float64) if dtype == "float16" else values.astype(np.float64, copy=False)


def _side_by_side(values: NDArray[Any]) -> NDArray[Any]:
    """The same table with the classes of a row next to one another; rows may lie apart."""
    row, step = values.strides
    packed = step == values.itemsize and row >= values.shape[1] * step and row % step == 0
    return values if packed else np.ascontiguousarray(values)


def _refuse_empty(values: NDArray[Any], name: str) -> None:
    if values.size == 0:
        raise ValueError(f"`{name}` must hold at least one element, but its shape is {values.shape}")


def values_of(x: ArrayLike, name: str) -> NDArray[Any]:
    """A 1-d float32 or float64 array without gaps, which may be empty; other numbers become float64."""
    values = to_numpy(x, name)
    values = np.ascontiguousarray(values if values.dtype == np.float32 else _float64(values, name))
    if values.ndim != 1:
        raise ValueError(f"`{name}` must have shape (n,), but its shape is {values.shape}")
    return values


def offsets_of(x: ArrayLike, n_values: int, name: str) -> NDArray[np.int64]:
    """Where sequences begin in a vector of `n_values`, and its end; Rust checks that they rise."""
    offsets = integers(x, "offsets")
    if offsets.size < 2:
        raise ValueError("`offsets` must hold at least a start and an end, shape (n_sequences + 1,), but it holds 1")
    if offsets[-1] != n_values:
        raise ValueError(f"`offsets` must end at the length of `{name}`, but end at {offsets[-1]} and not {n_values}")
    return offsets


def flags(x: ArrayLike, name: str) -> NDArray[np.bool_]:
    """A 1-d array of booleans."""
    values = to_numpy(x, name)
    if values.dtype != np.bool_:
        raise TypeError(f"`{name}` must hold booleans, but its dtype is {values.dtype}; use {name}.astype(bool)")
    if values.ndim != 1:
        raise ValueError(f"`{name}` must have shape (n,), but its shape is {values.shape}")
    return np.ascontiguousarray(values)
