"""Names: reversible, harmless to shells, stable where they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.tree.names import CUT, archive_value, directory_name, file_name, folded

ENCODABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
ANY_LENGTH = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(ENCODABLE)
def test_a_file_name_leads_back_to_its_value(value: str) -> None:
    name = file_name(value)
    if "=~" not in name:
        assert archive_value(name) == value


@given(ENCODABLE)
def test_plain_names_lead_back_too(value: str) -> None:
    name = file_name(value, "plain")
    if "=~" not in name:
        assert archive_value(name) == value
        assert set(name) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:-="
        )


@given(ANY_LENGTH)
def test_a_name_is_one_harmless_component(value: str) -> None:
    name = directory_name(value)
    assert 0 < len(name.encode()) <= CUT
    assert not set(name) & set("/\x00%[],@*?$!\\\"'<>|&;`\n\t\x7f")
    assert not name.startswith((".", "-", "~", " "))
    assert not name.endswith(" ")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("CDFS/GOODS", "CDFS=2FGOODS"),
        ("      6297.00", "=20=20=20=20=20=206297.00"),
        ("HD  15082", "HD  15082"),
        ("* alf UMi", "=2A alf UMi"),
        ("104 Her (M3 III)", "104 Her (M3 III)"),
        ("K20H05N(567@114)", "K20H05N(567=40114)"),
        ("alpha Tau (BS 1457) N=-3", "alpha Tau (BS 1457) N=3D-3"),
        ("Ar,Xe", "Ar=2CXe"),
        ("Mask[ccd1]", "Mask=5Bccd1=5D"),
        (".hidden", "=2Ehidden"),
        ("-rf", "=2Drf"),
        ("~root", "=7Eroot"),
        ("η Carinae", "η Carinae"),
        ("HD 1761267 : VEGA", "HD 1761267 : VEGA"),
        ("100% sky", "100=25 sky"),
        ("O'Neill", "O=27Neill"),
        ("trailing ", "trailing=20"),
        ("", "=-"),
        (None, "=-"),
    ],
)
def test_the_dirty_names_of_the_archive(value: str | None, name: str) -> None:
    assert directory_name(value) == name
    assert archive_value(name) == (value or None)


def test_long_directory_names_end_in_a_hash_that_tells_them_apart() -> None:
    one, other = directory_name("x" * 200), directory_name("x" * 199 + "y")
    assert one != other
    assert "=~" in one
    assert len(one) == CUT
    with pytest.raises(ValueError, match="not a name"):
        archive_value(one)


@pytest.mark.parametrize("name", ["a=", "a=2f", "a=ZZ", "=~", "a\udcff"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"not a name|decode"):
        archive_value(name)


def test_spellings_of_one_value_fold_to_the_same() -> None:
    assert folded("M_31") == folded("m 31") == folded("M 31")
