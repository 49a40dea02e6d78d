"""How numbers are written for people: three significant digits, intervals in brackets, never "nan"."""

from math import floor, isinf, isnan, log10

from vestige.stats.estimate import Estimate

DASH = "-"


def number(value: float, digits: int = 3) -> str:
    """A number to three significant digits, as short as that allows.

    Args:
        value: any float; NaN is an undefined value.
        digits: significant digits, at least 1.

    Returns:
        Decimal notation from 0.001 to 99999, else an exponent; "inf", "-inf", or "-" for NaN.

    Source: defined here.

    >>> [number(x) for x in (0.5, 0.9996, 25.83, 1234.0, 123456.0, 0.00012, 0.0, float("nan"))]
    ['0.500', '1.00', '25.8', '1234', '1.23e5', '1.20e-4', '0', '-']
    """
    if isnan(value):
        return DASH
    if isinf(value):
        return "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded == 0:
        return "0"
    exponent = floor(log10(abs(rounded)))
    if not -3 <= exponent < 5:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def interval(estimate: Estimate) -> str:
    """The interval in brackets, empty where there is none.

    >>> interval(Estimate(0.25, 0.125, 0.5))
    '[0.125, 0.500]'
    """
    return f"[{number(estimate.low)}, {number(estimate.high)}]" if estimate.has_interval else ""


def with_interval(estimate: Estimate) -> str:
    """The value and, where there is one, its interval.

    >>> with_interval(Estimate(0.25, 0.125, 0.5))
    '0.250 [0.125, 0.500]'
    """
    return f"{number(estimate.value)} {interval(estimate)}".rstrip()


def p_value(p: float) -> str:
    """A p-value to three decimals, "<0.001" below that, "-" where no test was possible.

    >>> p_value(0.0421), p_value(0.0002)
    ('0.042', '<0.001')
    """
    if isnan(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def percent(share: float) -> str:
    """A share as a percentage, "-" where it is undefined.

    >>> percent(0.4251)
    '43 %'
    """
    return DASH if isnan(share) else f"{100 * share:.0f} %"


def spread(pair: tuple[float, float]) -> str:
    """A smallest and a largest value as "a to b", as one number where they are written alike, "-" where undefined.

    >>> spread((0.1, 0.2)), spread((0.1, 0.1))
    ('0.100 to 0.200', '0.100')
    """
    low, high = number(pair[0]), number(pair[1])
    return low if low == high else f"{low} to {high}"


def brief_spread(pair: tuple[float, float], on_two_lines: bool = False) -> str:
    r"""A smallest and a largest value for a narrow column: two digits, and on two lines where one has no room.

    >>> brief_spread((0.025, 0.0632)), brief_spread((1.0, 1.0)), brief_spread((-0.5, -0.4))
    ('0.025-0.063', '1.0', '-0.50 to -0.40')
    >>> brief_spread((0.025, 0.0632), on_two_lines=True)
    '0.025-\n0.063'
    """
    low, high = number(pair[0], 2), number(pair[1], 2)
    if low == high:
        return low
    between = " to " if low.startswith("-") else "-"
    return f"{low}{between.rstrip()}\n{high}" if on_two_lines else f"{low}{between}{high}"


def scope(estimate: Estimate) -> str:
    """What stands behind a value: its interval, how that was made, and what it speaks for; one line.

    >>> scope(Estimate(0.25, 0.125, 0.5, n=40, over="authors", n_clusters=8, method="jackknife-t"))
    '0.250 [0.125, 0.500] (95 % interval, jackknife-t, over 8 authors; n = 40)'
    >>> scope(Estimate(float("nan"), reason="constant column"))
    'undefined: constant column'
    """
    if isnan(estimate.value):
        return f"undefined: {estimate.reason or 'no value'}"
    if not estimate.has_interval:
        return f"{number(estimate.value)} (no interval: {estimate.reason or 'none was made'})"
    return f"{with_interval(estimate)} ({'; '.join(_scope_parts(estimate))})"


def _scope_parts(estimate: Estimate) -> list[str]:
    made = [f"{percent(estimate.confidence_level)} interval", estimate.method]
    if estimate.over:
        made.append(f"over {estimate.n_clusters} {estimate.over}" if estimate.n_clusters else f"over {estimate.over}")
    parts = [", ".join(part for part in made if part)]
    if estimate.n:
        parts.append(f"n = {estimate.n}")
    if estimate.fixed:
        parts.append(f"held fixed: {', '.join(estimate.fixed)}")
    if estimate.n_undefined:
        parts.append(f"{estimate.n_undefined} resamples undefined")
    return parts


def size(n_bytes: float) -> str:
    """Bytes as people read them, "-" where it is undefined.

    >>> size(1_500_000), size(12)
    ('1.5 MB', '12 B')
    """
    if isnan(n_bytes):
        return DASH
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
