"""Fills the tables that follow from the metadata: ObsCore, SIAv1, enumerations, join tables.

At CADC most of them are views. Here they are tables, made once, because the archive never
changes. The columns `metaRelease` and `metaReadGroups` of ObsCore, SIAv1 and Chunk are not in
TAP_SCHEMA: the service needs them to leave out what is not public yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from urllib.parse import quote

from cadcfs.demo.adql import geometry
from cadcfs.demo.schema import columns_of

DATALINK = "/caom2ops/datalink?ID="
FILES = "/raven/files/"
"""Addresses are stored without their host; the service puts its own in front."""

_HIDDEN = {
    "SIAv1": ("metaReadGroups",),
    "ObsCore": ("metaRelease", "metaReadGroups"),
    "Chunk": ("metaRelease", "metaReadGroups"),
}

_OBSCORE = f"""
    SELECT p.publisherID, o.collection, o.telescope_name, o.instrument_name, o.observationID,
        p.dataProductType, p.calibrationLevel, p.dataRelease, o.target_name,
        longitude(p.position_bounds), latitude(p.position_bounds), p.position_bounds_size,
        p.position_bounds, p.position_resolution,
        p.position_dimension_naxis1, p.position_dimension_naxis2,
        p.time_bounds_lower, p.time_bounds_upper, p.time_exposure, p.time_resolution,
        p.time_dimension, p.energy_bounds_lower, p.energy_bounds_upper, p.energy_resolvingPower,
        p.energy_dimension, NULL, p.polarization_states, p.polarization_dimension,
        coalesce(p.observable_ucd, 'phot.count'), '{DATALINK}' || quoted(p.publisherID),
        'application/x-votable+xml;content=datalink', NULL, o.maxLastModified,
        p.metaRelease, p.metaReadGroups
    FROM Observation o JOIN Plane p ON o.obsID = p.obsID
    WHERE o.intent = 'science' AND p.calibrationLevel BETWEEN 0 AND 4
        AND p.dataProductType NOT LIKE 'http:%'
        AND p.dataProductType NOT IN ('eventlist', 'catalog')
    ORDER BY p.publisherID
"""

_SIA = f"""
    SELECT o.collection, p.planeURI, o.instrument_name, p.position_bounds,
        longitude(p.position_bounds), latitude(p.position_bounds), 2,
        p.position_dimension_naxis1 || ' ' || p.position_dimension_naxis2,
        p.position_sampleSize || ' ' || p.position_sampleSize,
        (p.energy_bounds_lower + p.energy_bounds_upper) / 2,
        p.energy_bounds_lower, p.energy_bounds_upper, 'm', p.energy_bandpassName,
        (p.time_bounds_lower + p.time_bounds_upper) / 2, p.time_bounds_lower, p.time_bounds_upper,
        p.time_exposure, a.contentType, '{FILES}' || a.uri, p.metaRelease, p.dataRelease,
        p.metaReadGroups
    FROM Observation o JOIN Plane p ON o.obsID = p.obsID JOIN Artifact a ON a.planeID = p.planeID
    WHERE o.intent = 'science' AND p.calibrationLevel IS NOT NULL
        AND p.dataProductType = 'image' AND p.position_bounds IS NOT NULL
        AND a.productType = 'science'
    ORDER BY p.planeURI, a.uri
"""

_PARTS = """
    SELECT t.name, c.naxis, c.positionAxis1, c.positionAxis2, c.energyAxis, c.timeAxis,
        c.polarizationAxis, c.position_coordsys, c.position_equinox,
        c.position_axis_axis1_ctype, c.position_axis_axis2_ctype,
        c.position_axis_axis1_cunit, c.position_axis_axis2_cunit,
        c.position_axis_error1_syser, c.position_axis_error2_syser,
        c.position_axis_error1_rnder, c.position_axis_error2_rnder,
        c.position_axis_function_dimension_naxis1, c.position_axis_function_dimension_naxis2,
        c.position_axis_function_refCoord_coord1_pix, c.position_axis_function_refCoord_coord2_pix,
        c.position_axis_function_refCoord_coord1_val, c.position_axis_function_refCoord_coord2_val,
        c.position_axis_function_cd11, c.position_axis_function_cd12,
        c.position_axis_function_cd21, c.position_axis_function_cd22,
        c.energy_axis_axis_ctype, c.energy_axis_axis_cunit, c.energy_axis_error_syser,
        c.energy_axis_error_rnder, c.energy_axis_function_naxis,
        c.energy_axis_function_refCoord_pix, c.energy_axis_function_refCoord_val,
        c.energy_axis_function_delta, c.energy_specsys, c.energy_ssysobs, c.energy_ssyssrc,
        c.energy_restfrq, c.energy_restwav, c.energy_velosys, c.energy_zsource, c.energy_velang,
        c.time_axis_axis_ctype, c.time_axis_axis_cunit, c.time_axis_error_syser,
        c.time_axis_error_rnder, c.time_axis_function_naxis, c.time_axis_function_refCoord_pix,
        c.time_axis_function_refCoord_val, c.time_axis_function_delta, c.time_timesys,
        c.time_trefpos, c.time_mjdref, c.polarization_axis_axis_ctype,
        c.polarization_axis_axis_cunit, c.polarization_axis_error_syser,
        c.polarization_axis_error_rnder, c.polarization_axis_function_naxis,
        c.polarization_axis_function_refCoord_pix, c.polarization_axis_function_refCoord_val,
        c.polarization_axis_function_delta, t.lastModified, t.artifactID, t.partID
    FROM Part t JOIN Chunk c ON c.partID = t.partID
    JOIN ObsFile f ON f.file_id = t.artifactID
    ORDER BY t.artifactID, t.name
"""

_FILES = """
    SELECT a.uri, a.contentType, a.contentLength, a.lastModified, p.planeID, a.artifactID
    FROM Artifact a JOIN Plane p ON a.planeID = p.planeID
    JOIN ObsCore c ON c.obs_publisher_did = p.publisherID ORDER BY p.planeID, a.uri
"""

_QUERIES = {"ObsCore": _OBSCORE, "SIAv1": _SIA, "ObsFile": _FILES, "ObsPart": _PARTS}

_COUNTS = {"num_tuples": "count(*)", "max_time_bounds_cval1": "max(p.time_bounds_lower)"}

_INDEXES = (
    "CREATE UNIQUE INDEX core_publisher ON ObsCore (obs_publisher_did)",
    "CREATE INDEX core_collection ON ObsCore (obs_collection)",
    "CREATE INDEX file_core ON ObsFile (core_id)",
    "CREATE INDEX obspart_file ON ObsPart (file_id)",
)


def fill_derived(database: sqlite3.Connection) -> None:
    """Fill every derived table; the observations and all below them are there."""
    database.create_function("longitude", 1, _coordinate(0), deterministic=True)
    database.create_function("latitude", 1, _coordinate(1), deterministic=True)
    database.create_function("quoted", 1, _quoted, deterministic=True)
    for table, columns in _HIDDEN.items():
        for column in columns:
            database.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
    _hide_chunks(database)
    database.execute(_enumeration())
    for table, query in _QUERIES.items():
        database.execute(f"INSERT INTO {table} {query}")
    _enumerate_obscore(database)
    for column in ("proposal_id", "proposal_pi", "proposal_title"):
        database.execute(
            f"INSERT INTO distinct_{column} SELECT count(*), {column} FROM Observation"
            f" WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY {column}"
        )
    _link(database, "ObservationMember", "SELECT obsID, members FROM Observation")
    _link(database, "ProvenanceInput", "SELECT planeID, provenance_inputs FROM Plane")
    for index in _INDEXES:
        database.execute(index)


def _hide_chunks(database: sqlite3.Connection) -> None:
    database.execute("""
        UPDATE Chunk SET (metaRelease, metaReadGroups) = (
            SELECT p.metaRelease, p.metaReadGroups FROM Part t
            JOIN Artifact a ON a.artifactID = t.artifactID JOIN Plane p ON p.planeID = a.planeID
            WHERE t.partID = Chunk.partID)
    """)


def _enumeration() -> str:
    """The statement that fills EnumField: how many planes share each combination of values."""
    of_observation = {column.name for column in columns_of("caom2.Observation")}
    names = [column.name for column in columns_of("caom2.EnumField")]
    keys = {
        name: f"o.{name}" if name in of_observation else f"p.{name}"
        for name in names
        if name not in _COUNTS
    }
    selected = ", ".join(_COUNTS.get(name) or keys[name] for name in names)
    grouped = ", ".join(keys.values())
    return (
        f"INSERT INTO EnumField SELECT {selected} FROM Observation o"
        f" JOIN Plane p ON p.obsID = o.obsID GROUP BY {grouped} ORDER BY {grouped}"
    )


def _enumerate_obscore(database: sqlite3.Connection) -> None:
    keys = ", ".join(column.name for column in columns_of("caom2.ObsCoreEnumField")[2:])
    database.execute(
        f"INSERT INTO ObsCoreEnumField SELECT count(*), max(t_min), {keys} FROM ObsCore"
        f" GROUP BY {keys} ORDER BY {keys}"
    )


def _link(database: sqlite3.Connection, table: str, query: str) -> None:
    """Fill a join table from a column of URIs with blanks between."""
    rows: Iterable[tuple[str, str | None]] = database.execute(query).fetchall()
    pairs = [(key, uri) for key, uris in rows for uri in (uris or "").split()]
    database.executemany(f"INSERT INTO {table} VALUES (?, ?)", pairs)


def _coordinate(index: int) -> Callable[[str | None], float | None]:
    def pick(shape: str | None) -> float | None:
        if shape is None:
            return None
        region = geometry.parse(shape)
        assert isinstance(region, geometry.Region)
        return region.center[index]

    return pick


def _quoted(text: str | None) -> str | None:
    return None if text is None else quote(text, safe="")
