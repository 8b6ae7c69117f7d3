"""Which queries the embedded archive takes for slow when it is to behave like CADC."""

from __future__ import annotations

import pytest

from cadcfs.demo.faults.indexes import is_slow

BOTH = "caom2.Observation o join caom2.Plane p on o.obsID=p.obsID"
CIRCLE = "INTERSECTS(CIRCLE('ICRS',1,2,0.1), p.position_bounds)=1"


@pytest.mark.parametrize(
    "adql",
    [
        f"select * from {BOTH} where lower(target_name) like '%m31%'",
        "select observationID from caom2.Observation where lower(target_name) like '%m31%'",
        "select observationID from caom2.Observation where target_name='M31'",
        "select observationID from caom2.Observation where observationID='1'",
        "select productID from caom2.Plane where publisherID='ivo://x?a/b' order by productID",
        "select collection, count(*) from caom2.Observation group by collection",
        "select distinct target_name from caom2.Observation where collection='CFHT'",
        f"select p.productID from {BOTH} where {CIRCLE} or quality_flag='junk'",
        "select s_ra from ivoa.ObsCore order by t_min",
        "select 1 from tap_schema.tables where 1 in (select count(*) from caom2.Chunk)",
    ],
)
def test_what_has_no_index_is_slow(adql: str) -> None:
    assert is_slow(adql)


@pytest.mark.parametrize(
    "adql",
    [
        "select distinct collection, energy_emBand from caom2.EnumField",
        "select observationID from caom2.Observation where lower(target_name) like 'm31%'",
        "select 1 from caom2.Observation where lower(target_name)='m31' and target_name='M31'",
        "select productID from caom2.Plane where publisherID='ivo://x?a/b'",
        f"select p.productID from {BOTH} where {CIRCLE} and collection='CFHT'",
        f"select collection, count(*) from {BOTH} where {CIRCLE} group by collection",
        "select 1 from caom2.Observation where collection='CFHT' and observationID='1'",
        "select observationID from caom2.Observation where collection='CFHT'",
        "select planeID from caom2.Artifact where uri in ('cadc:A/b', 'cadc:A/c')",
        "select table_name from tap_schema.tables order by table_name",
        "select nonsense",
        "((((",
    ],
)
def test_what_comes_by_an_index_is_not(adql: str) -> None:
    assert not is_slow(adql)
