"""Spellings of a region."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.errors import BadRequest
from cadcfs.tree.positions import NamedRegion, parse_region


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("10.684708_41.26875_0.1", "10.684708_41.26875_0.1"),
        ("10.684708_41.26875", "10.684708_41.26875_0.0166667"),
        ("10.50_+41.0_6arcmin", "10.5_41_0.1"),
        ("10.5_41_6m", "10.5_41_0.1"),
        ("10.5_41_30s", "10.5_41_0.0083333"),
        ("10.5_41_0.1d", "10.5_41_0.1"),
        ("10.5_41_0.10", "10.5_41_0.1"),
        ("08h45m07.5s_+54d18m00s_1m", "131.28125_54.3_0.0166667"),
        ("08:45:07.5_-00:18:00_1m", "131.28125_-0.3_0.0166667"),
        ("12h_-5d30m_1deg", "180_-5.5_1"),
        ("360_0_1", "0_0_1"),
        ("359.99999999_-0.00000001_1", "0_0_1"),
        ("1e1_-0.0_1e-3", "10_0_0.001"),
    ],
)
def test_canonical_forms(spelling: str, canonical: str) -> None:
    assert parse_region(spelling) == canonical
    assert parse_region(canonical) == canonical


@pytest.mark.parametrize(
    ("spelling", "target", "radius"),
    [
        ("M31_6arcmin", "M31", "0.1"),
        ("Nr3491_1_0.1deg", "Nr3491_1", "0.1"),
        ("M 31_30s", "M 31", "0.0083333"),
    ],
)
def test_objects_need_a_radius_with_a_unit(spelling: str, target: str, radius: str) -> None:
    assert parse_region(spelling) == NamedRegion(target, radius)


@pytest.mark.parametrize(
    "name",
    ["M31", ".git", "Thumbs.db", "a_b_c", "M31_5parsec", "M31_0.1", "_6arcmin", "", "x" * 300,
     "README.txt", "1_2_3_4", "10.5", "\udcff_1m\udcff"],
)  # fmt: skip
def test_what_is_no_region_at_all(name: str) -> None:
    assert parse_region(name) is None


@pytest.mark.parametrize(
    "name",
    ["10_91_1", "10_-90.1_1", "400_1_1", "-1_1_1", "1_1_0", "1_1_-1", "1_1_91", "nan_1_1",
     "1_1_nan", "inf_1_1", "1_1_5parsec", "1_1_", "1_1_x", "1_1_1e-9", "1e99999999999_1_1",
     "M31_0arcmin", "M31_91deg", "08h61m00s_1_1", "25h_0d_1m"],
)  # fmt: skip
def test_what_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        parse_region(name)


@given(st.text(max_size=60))
def test_any_name_is_a_region_or_none_or_refused(name: str) -> None:
    try:
        found = parse_region(name)
    except BadRequest:
        return
    if isinstance(found, str):
        assert parse_region(found) == found


@given(
    st.decimals(0, Decimal("359.9999999"), places=7),
    st.decimals(-90, 90, places=7),
    st.decimals(Decimal("1e-7"), 90, places=7),
)
def test_what_is_typed_to_seven_places_is_what_is_asked(
    ra: Decimal, dec: Decimal, radius: Decimal
) -> None:
    found = parse_region(f"{ra:f}_{dec:f}_{radius:f}")
    assert isinstance(found, str)
    assert [Decimal(part) for part in found.split("_")] == [ra, dec, radius]
