"""Numbers that look random and are a function of seed and place: the same everywhere, in any order.

SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), of which
the n-th output can be computed by itself.
"""

from __future__ import annotations

import math

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def random_bits(seed: int, place: int) -> int:
    """Return 64 bits: output number ``place``, from 0, of SplitMix64 with this seed."""
    z = (seed + (place + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def random_unit(seed: int, place: int) -> float:
    """Return a number from 0 to below 1: one of 2⁵³, all equally likely."""
    return (random_bits(seed, place) >> 11) * 2.0**-53


def random_normal(seed: int, place: int) -> float:
    """Return a number of the standard normal distribution, by Box and Muller from two places."""
    radius = math.sqrt(-2.0 * math.log(1.0 - random_unit(seed, 2 * place)))
    return radius * math.cos(2.0 * math.pi * random_unit(seed, 2 * place + 1))
