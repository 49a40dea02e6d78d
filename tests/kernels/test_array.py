import numpy as np
import pytest

from vestige.kernels import kendall_tau, logsumexp, midranks, token_log_probs

VALUES = [[0.5, -1.0, 2.0], [3.0, 0.0, 1.0]]


class OnlyDLPack:
    """An array that speaks nothing but DLPack."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class OnlyArray:
    """An array that speaks nothing but `__array__`."""

    def __array__(self, dtype=None, copy=None):
        return np.array(VALUES, dtype)


def test_anything_that_holds_numbers_is_read():
    expected = logsumexp(np.array(VALUES))
    for source in (VALUES, OnlyArray(), OnlyDLPack(np.array(VALUES))):
        np.testing.assert_array_equal(logsumexp(source), expected)


def test_data_frames_series_and_tensors_are_read():
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    expected = logsumexp(np.array(VALUES))
    np.testing.assert_array_equal(logsumexp(pandas.DataFrame(VALUES)), expected)
    np.testing.assert_array_equal(logsumexp(torch.tensor(VALUES, dtype=torch.float64, requires_grad=True)), expected)
    assert kendall_tau(pandas.Series([1, 2, 3]), torch.tensor([3, 2, 1])) == -1
    assert token_log_probs(torch.tensor(VALUES), torch.tensor([0, 1])).shape == (2,)


def test_a_16_bit_tensor_works_as_a_vector_and_transposed():
    import torch

    for dtype in (torch.float16, torch.bfloat16):
        table = torch.tensor(VALUES).to(dtype)
        np.testing.assert_array_equal(midranks(table[0]), [2, 1, 3])
        np.testing.assert_allclose(logsumexp(table.T), logsumexp(table.T.double()), rtol=3e-7)


def test_a_tensor_elsewhere_is_refused_with_the_way_out():
    import torch

    with pytest.raises(
        ValueError, match=r"`logits` must be in the memory of the CPU, but it is on meta; use logits.cpu\(\)"
    ):
        logsumexp(torch.zeros(2, 3, device="meta"))


@pytest.mark.parametrize("dtype", ["int8", "uint64", "bool", "float16", ">f4", ">f8", "longdouble"])
def test_any_real_dtype_is_read(dtype):
    values = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    narrow = dtype in ("float16", ">f4")
    expected = logsumexp(values.astype(float))
    np.testing.assert_allclose(logsumexp(values), expected, rtol=3e-7 if narrow else 1e-15)


@pytest.mark.parametrize(
    "values", [np.array([1j]), np.array(["a"]), np.array([None]), np.array(["2020"], "datetime64[D]")]
)
def test_what_is_not_a_real_number_is_refused(values):
    with pytest.raises(TypeError, match="`logits` must hold real numbers, but its dtype is"):
        logsumexp(values)


def test_ragged_rows_are_refused_by_name():
    with pytest.raises(ValueError, match="`logits` must hold numbers in rows of one length"):
        logsumexp([[1.0], [1.0, 2.0]])


def test_a_broadcast_view_is_read():
    view = np.broadcast_to(np.array(VALUES[0]), (4, 3))
    np.testing.assert_array_equal(logsumexp(view), np.repeat(logsumexp(VALUES[:1]), 4))


def test_an_unaligned_array_is_read():
    raw = np.zeros(6 * 8 + 1, "uint8")
    unaligned = raw[1:].view("float64").reshape(2, 3)
    unaligned[:] = VALUES
    np.testing.assert_array_equal(logsumexp(unaligned), logsumexp(VALUES))


def test_inputs_are_left_as_they_were():
    values = np.array(VALUES)
    logsumexp(values)
    midranks(values[0])
    np.testing.assert_array_equal(values, VALUES)
