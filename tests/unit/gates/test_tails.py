"""Every tail against scipy.stats, and no scipy.stats behind it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from swapgate.gates import tails

CHANCES = st.floats(1e-7, 0.999)


@given(st.integers(0, 400), st.sampled_from([0.0, 1.0]) | st.floats(1e-6, 1 - 1e-6))
def test_the_binomial_is_scipys(n: int, p: float) -> None:
    """All counts at once, from one below to one above what is possible."""
    counts = np.arange(n + 1)
    assert tails.binom.pmf(counts, n, p) == pytest.approx(stats.binom.pmf(counts, n, p), rel=1e-8, abs=1e-300)
    wide = np.arange(-1, n + 2)
    assert tails.binom.sf(wide, n, p) == pytest.approx(stats.binom.sf(wide, n, p), rel=1e-9, abs=1e-300)


@given(CHANCES, st.integers(0, 300), st.floats(0.01, 0.99))
def test_the_count_that_is_rarely_exceeded_is_scipys(q: float, most: int, p: float) -> None:
    """For every number of tries up to `most`; it is the fewest of its kind."""
    n = np.arange(most + 1)
    found = tails.binom.isf(q, n, p)
    assert (stats.binom.sf(found, n, p) <= q * (1 + 1e-9)).all()
    above = found > 0
    assert (stats.binom.sf(found[above] - 1, n[above], p) > q * (1 - 1e-9)).all()


@given(CHANCES, st.integers(1, 2000))
def test_normal_student_and_chi_square_are_scipys(q: float, df: int) -> None:
    """Quantiles and tails."""
    assert tails.norm.isf(q) == pytest.approx(stats.norm.isf(q), rel=1e-9, abs=1e-12)
    x = float(stats.norm.isf(q))
    assert tails.norm.sf(x) == pytest.approx(stats.norm.sf(x), rel=1e-9)
    assert tails.norm.cdf(x) == pytest.approx(stats.norm.cdf(x), rel=1e-9)
    assert tails.t.isf(q, df) == pytest.approx(stats.t.isf(q, df), rel=1e-7, abs=1e-9)
    assert tails.t.sf(x, df) == pytest.approx(stats.t.sf(x, df), rel=1e-7)
    assert tails.chi2.ppf(q, df) == pytest.approx(stats.chi2.ppf(q, df), rel=1e-8)


@given(CHANCES, st.integers(1, 500), st.integers(1, 500))
def test_the_beta_quantile_is_scipys(q: float, a: int, b: int) -> None:
    """As the exact bounds of a rate ask for it."""
    assert tails.beta.ppf(q, a, b) == pytest.approx(stats.beta.ppf(q, a, b), rel=1e-7)


@given(st.integers(0, 120), st.integers(1, 120), st.data())
def test_the_hypergeometric_tail_is_scipys(marked: int, others: int, data: st.DataObject) -> None:
    """Any draw out of any population."""
    drawn = data.draw(st.integers(0, marked + others))
    k = data.draw(st.integers(-1, drawn))
    expected = stats.hypergeom.sf(k, marked + others, marked, drawn)
    assert tails.hypergeom.sf(k, marked + others, marked, drawn) == pytest.approx(expected, rel=1e-8, abs=1e-300)


def test_arrays_go_through() -> None:
    """Shapes are kept, as the power functions rely on."""
    values = np.linspace(-3, 3, 7)
    for found in (tails.norm.cdf(values), tails.norm.sf(values), tails.t.sf(values, 9), tails.chi2.ppf(np.linspace(0.1, 0.9, 7), 5)):
        assert found.shape == (7,)


def test_scipy_stats_is_not_loaded() -> None:
    """That is what the module is for."""
    code = "import sys; from swapgate.gates import tails; tails.norm.sf(1.0); tails.hypergeom.sf(1, 9, 4, 3); print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "False"
