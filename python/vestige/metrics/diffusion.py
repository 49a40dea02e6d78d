"""FADE of image generators, from denoising errors that both models make on images of both."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def fade_diffusion(
    loss_uu: ArrayLike, loss_ru: ArrayLike, loss_rr: ArrayLike, loss_ur: ArrayLike, *, weight: ArrayLike = 1.0
) -> float:
    r"""FADE of image generators, likelihood form: what the other model's denoising of one's own images costs.

    $E_u\, w_t (\|\epsilon - e_r\|^2 - \|\epsilon - e_u\|^2) + E_r\, w_t (\|\epsilon - e_u\|^2 - \|\epsilon - e_r\|^2)$,
    with one noise and one time for both models at every place.

    Args:
        loss_uu: squared denoising error of u on u's images, shape (n_conditions, n_draws).
        loss_ru: of r on u's images, same shape, same noise.
        loss_rr: of r on r's images, same shape.
        loss_ur: of u on r's images, same shape, same noise.
        weight: w_t of each draw, broadcast to the shape; 1 is the simple loss, the likelihood's own weights make it the
            difference of evidence bounds.

    Returns:
        In the unit of the weighted loss; an estimate can be negative and is not clipped. Lower = closer.

    Raises:
        ValueError: if the shapes differ.

    Source: our reading of arXiv 2510.12981 (denoising approximation of the likelihoods); Ho et al. (2020), eq. 14.

    >>> fade_diffusion([[1.0]], [[1.5]], [[1.0]], [[1.25]])
    0.75
    """
    uu, ru, rr, ur = same_shape(loss_uu=loss_uu, loss_ru=loss_ru, loss_rr=loss_rr, loss_ur=loss_ur)
    w = np.asarray(weight, np.float64)
    return float(np.mean(w * (ru - uu)) + np.mean(w * (ur - rr)))


def fade_diffusion_score(gap_on_u: ArrayLike, gap_on_r: ArrayLike, *, weight: ArrayLike = 1.0) -> float:
    r"""FADE of image generators, score form: $E_u\, w_t \|e_u - e_r\|^2 + E_r\, w_t \|e_u - e_r\|^2$.

    The likelihood form with each term replaced by its expectation given the noised image, where each model is the right
    denoiser of its own images: never negative, and steadier.

    Args:
        gap_on_u: squared distance of the two models' predictions on u's noised images, shape (n_conditions, n_draws).
        gap_on_r: likewise on r's.
        weight: as in `fade_diffusion`.

    Returns:
        In the unit of the weighted loss, at least 0. Lower = closer.

    Raises:
        ValueError: if the shapes differ, or a squared distance is negative.

    Source: our reading of arXiv 2510.12981; Song et al. (2021), Maximum likelihood training of score-based models.

    >>> fade_diffusion_score([[0.5]], [[0.25]])
    0.75
    """
    on_u, on_r = same_shape(gap_on_u=gap_on_u, gap_on_r=gap_on_r)
    if min(on_u.min(), on_r.min()) < 0:
        raise ValueError("`gap_on_u` and `gap_on_r` must hold squared distances, but one is negative")
    w = np.asarray(weight, np.float64)
    return float(np.mean(w * on_u) + np.mean(w * on_r))


def same_shape(**named: ArrayLike) -> list[Floats]:
    """Matrices in float64, or ValueError if their shapes differ."""
    found = {name: np.atleast_2d(np.asarray(values, np.float64)) for name, values in named.items()}
    if len({matrix.shape for matrix in found.values()}) != 1:
        shapes = ", ".join(f"`{name}` {matrix.shape}" for name, matrix in found.items())
        raise ValueError(f"the matrices must share one shape, but found {shapes}")
    return list(found.values())
