from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlay.trust.polynomial import PRIME, divide, evaluate, interpolate, inverse, multiply, subtract, trim, vanishing

elements = st.integers(0, PRIME - 1)
polynomials = st.lists(elements, max_size=8).map(trim)


@given(polynomials, polynomials.filter(bool))
def test_division_leaves_a_smaller_remainder_and_multiplies_back(f, g):
    quotient, remainder = divide(f, g)
    assert len(remainder) < len(g)
    assert subtract(f, multiply(quotient, g)) == remainder


@given(polynomials, polynomials, elements)
def test_arithmetic_agrees_with_evaluation(f, g, x):
    assert evaluate(multiply(f, g), x) == evaluate(f, x) * evaluate(g, x) % PRIME
    assert evaluate(subtract(f, g), x) == (evaluate(f, x) - evaluate(g, x)) % PRIME


@given(st.dictionaries(elements, elements, max_size=8))
def test_interpolation_goes_through_its_points_with_the_least_degree(points):
    f = interpolate(points)
    assert len(f) <= len(points)
    assert all(evaluate(f, x) == y for x, y in points.items())


@given(st.lists(elements, max_size=6), elements)
def test_a_vanishing_polynomial_is_zero_where_it_should_be_and_nowhere_else(xs, x):
    assert (evaluate(vanishing(xs), x) == 0) == (x in xs)


@given(elements.filter(bool))
def test_an_inverse_is_one(value):
    assert value * inverse(value) % PRIME == 1
