"""Intervals that may be looked at every morning.

A fixed 95 % interval read nightly is wrong sooner or later; a confidence *sequence* covers the
truth on all nights at once with 95 %. Here: the asymptotic confidence sequence with a Gaussian
mixture (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory and
asymptotic confidence sequences, Annals of Statistics 2024, arXiv 2103.06476), and the e-value that
belongs to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# The sequence is tightest at about this many independent units.
TIGHTEST_AT = 400
ALPHA = 0.05


def mixing(alpha: float = ALPHA, units: float = TIGHTEST_AT) -> float:
    """rho squared that makes the sequence tightest at `units` (their equation for rho)."""
    log = -2 * math.log(alpha)
    return (log + math.log(log + 1)) / units


def radius(standard_error: float, units: float, alpha: float = ALPHA) -> float:
    """Half-width of the sequence at a mean with this standard error over `units` units."""
    if units <= 0:
        return math.inf
    scaled = units * mixing(alpha)
    return standard_error * math.sqrt(
        2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha)
    )


def e_value(z: float, units: float, alpha: float = ALPHA) -> float:
    """Evidence against no difference: the mixture's likelihood ratio at a standardized mean z.

    Under no difference its running maximum exceeds 1/a with probability at most a.
    """
    if units <= 0:
        return 1.0
    scaled = units * mixing(alpha)
    return math.exp(min(700.0, z * z * scaled / (2 * (scaled + 1)))) / math.sqrt(scaled + 1)


def units_for(target: float, standard_error: float, units: float, alpha: float = ALPHA) -> float:
    """How many units would bring the half-width down to `target`, if they vary as so far."""
    if target <= 0 or standard_error <= 0:
        return math.inf if target <= 0 else units
    if radius(standard_error, units, alpha) <= target:
        return units
    # The width falls with the root of the units, but for a logarithm: iterating on it converges.
    deviation = standard_error * math.sqrt(units)
    for _ in range(60):
        wanted = units
        units = (radius(deviation, wanted, alpha) / target) ** 2
        if units > 1e12:
            return math.inf
        if abs(units - wanted) <= 1e-9 * units:
            break
    return units


def e_benjamini_hochberg(values: Sequence[float], rate: float) -> list[bool]:
    """Which e-values stand after control of the false discovery rate, under any dependence.

    Wang and Ramdas: False discovery rate control with e-values, JRSS B 2022.
    """
    order = sorted(range(len(values)), key=lambda i: -values[i])
    kept = 0
    for rank, index in enumerate(order, 1):
        if values[index] >= len(values) / (rank * rate):
            kept = rank
    standing = set(order[:kept])
    return [i in standing for i in range(len(values))]
