"""The ways into a collection: they nest in any order and end in the same results."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.rig import Mount, Server

FLATS = {"2377001f.fits", "2377003f.fits", "2377005f.fits"}


def data_in(place: Path) -> set[str]:
    return {name for name in os.listdir(place) if ".fits" in name}


@pytest.fixture
def cfht(mount: Mount) -> Path:
    return mount.path / "collections" / "CFHT"


def test_a_nights_flats_by_name_cost_one_query_and_the_enumeration(
    cfht: Path, server: Server
) -> None:
    place = cfht / "by-intent/calibration/by-instrument/MegaPrime/by-type/FLAT"
    os.listdir(place)
    server.forget()
    assert data_in(place / "by-date/2019/01/07") == FLATS
    assert len(server.queries()) == 1
    other = cfht / "by-type/FLAT/by-intent/calibration/by-date/2019-01-01..2019-01-31"
    assert data_in(other) == FLATS
    assert len(server.queries()) == 2


def test_narrowing_costs_nothing_but_the_enumeration(cfht: Path, server: Server) -> None:
    assert set(os.listdir(cfht / "by-intent")) == {"science", "calibration"}
    assert set(os.listdir(cfht / "by-intent/calibration/by-type")) == {"BIAS", "FLAT"}
    assert os.listdir(cfht / "by-intent/calibration/by-type/BIAS/by-instrument") == ["MegaPrime"]
    assert "by-type" not in os.listdir(cfht / "by-type/BIAS")
    assert len(server.queries()) == 1
    with pytest.raises(FileNotFoundError):
        os.listdir(cfht / "by-instrument/NoSuch")
    assert len(server.queries()) == 1


def test_science_holds_no_bias(cfht: Path) -> None:
    assert "Bias binned" in os.listdir(cfht / "by-target")
    science = os.listdir(cfht / "by-intent/science/by-target")
    assert "M31" in science
    assert "Bias binned" not in science


def test_levels_filters_products_and_proposals(cfht: Path) -> None:
    assert "2376828p.fits.fz" in os.listdir(cfht / "by-level/2/by-target/M31")
    assert "2376828o.fits.fz" not in os.listdir(cfht / "by-level/2/by-target/M31")
    assert "spectrum" in os.listdir(cfht / "by-product")
    assert "2376828p.fits.fz" in os.listdir(cfht / "by-filter/g.MP9402/by-target/M31")
    proposals = os.listdir(cfht / "by-proposal")
    assert "19AC00" in proposals
    assert "2376829p.fits.fz" in os.listdir(cfht / "by-proposal/19AC00")


def test_dates_list_what_has_data(cfht: Path, server: Server) -> None:
    by_date = cfht / "by-date"
    years = os.listdir(by_date)
    assert "2019" in years
    server.forget()
    assert "07" in os.listdir(by_date / "2019/01")
    assert server.queries() == []
    with pytest.raises(FileNotFoundError):
        os.listdir(by_date / "1999")
    with pytest.raises(FileNotFoundError):
        os.listdir(by_date / "never")


def test_what_has_no_date_is_undated(mount: Mount) -> None:
    place = mount.path / "collections" / "ASTROPY" / "by-date"
    assert os.listdir(place) == ["undated"]
    assert "m13.fits" in os.listdir(place / "undated")


def test_a_range_that_is_none_is_invalid(cfht: Path, expected_log: list[str]) -> None:
    expected_log.append("EINVAL: .* (ends before it begins|is no day)")
    for wrong in ("2019-01-09..2019-01-07", "2019-02-30..2019-03-01"):
        with pytest.raises(OSError, match="Invalid argument") as caught:
            os.listdir(cfht / "by-date" / wrong)
        assert caught.value.errno == errno.EINVAL
