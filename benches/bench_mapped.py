import numpy as np
import pytest
import torch

from vestige.kernels import kl_divergence, num_threads, set_num_threads

SHAPE = (8192, 131_072)  # 4.3 GB of float32


@pytest.fixture(scope="module")
def files(tmp_path_factory, request):
    """Two tables of logits in files, in the page cache because they were just written, by `write`, as files mostly are.

    What is written through a mapping lies in the cache page by page, and any program reads it at half the speed.
    """
    quick = request.config.getoption("--benchmark-disable")
    folder = tmp_path_factory.mktemp("mapped")
    first = np.random.default_rng(0).normal(size=(64, 1000 if quick else SHAPE[1])).astype(np.float32)
    for name in "pq":
        shape = (SHAPE[0] // 64 if quick else SHAPE[0], first.shape[1])
        with (folder / f"{name}.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
            for start in range(0, shape[0], 64):
                np.roll(first, start if name == "p" else 2 * start + 1).tofile(file)
    yield folder / "p.npy", folder / "q.npy"
    for name in "pq":
        (folder / f"{name}.npy").unlink()


def torch_chunks(p, q):
    """Eight rows at a time."""
    values = []
    for start in range(0, len(p), 8):
        log_p, log_q = (torch.from_numpy(x[start : start + 8].copy()).log_softmax(1) for x in (p, q))
        values.append((log_p.exp() * (log_p - log_q)).sum(1))
    return torch.cat(values).numpy()


def vestige_kl(p, q):
    return kl_divergence(p, q, space="logits")


@pytest.mark.parametrize("implementation", [torch_chunks, vestige_kl])
def test_kl_of_files(benchmark, implementation, files):
    benchmark.group = "kl_divergence of two mapped files of 4.3 GB, float32 logits"
    p, q = (np.load(file, mmap_mode="r") for file in files)
    result = benchmark.pedantic(implementation, (p, q), rounds=1)
    benchmark.extra_info |= {"bytes": p.nbytes + q.nbytes, "threads": num_threads()}
    np.testing.assert_allclose(result[:64], vestige_kl(p[:64], q[:64]), rtol=2e-4)


def vestige_2_threads(p, q):
    set_num_threads(2)
    return vestige_kl(p, q)


def vestige_1_thread(p, q):
    set_num_threads(1)
    return vestige_kl(p, q)


@pytest.mark.parametrize("implementation", [vestige_2_threads, vestige_1_thread])
def test_kl_of_files_on_two_threads(benchmark, implementation, files):
    benchmark.group = "kl_divergence of two mapped files of 4.3 GB, float32 logits, 2 threads"
    p, q = (np.load(file, mmap_mode="r") for file in files)
    result = benchmark.pedantic(implementation, (p, q), rounds=1)
    benchmark.extra_info |= {"bytes": p.nbytes + q.nbytes, "threads": num_threads()}
    np.testing.assert_array_equal(result[:64], vestige_kl(p[:64], q[:64]))
