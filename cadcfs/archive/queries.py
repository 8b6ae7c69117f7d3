"""ADQL that the tree asks: pure text, one builder for all questions.

Narrow column lists, indexed predicates, no ORDER BY: sorted by whoever shows the answer. A *piece*
is one more predicate, for answers that are asked in pieces.
"""

from __future__ import annotations

from cadcfs.archive.constraints import FACETS, Question, is_literal, quoted

LISTED_COLUMNS = (
    "o.observationID", "o.target_name", "o.intent", "p.productID", "p.publisherID",
    "p.quality_flag", "p.metaRelease", "p.dataRelease", "a.uri", "a.productType", "a.releaseType",
    "a.contentType", "a.contentLength", "a.contentChecksum", "a.contentRelease",
    "a.lastModified",
)  # fmt: skip

GRANTED = "isDownloadable(p.planeURI) AS granted"

ENUMERATED = (
    "instrument_name", "energy_bandpassName", "calibrationLevel", "intent", "type",
    "dataProductType",
)  # fmt: skip
"""Columns of EnumField that narrow a collection; one query a collection tells all their values."""

FITS_TYPES = ("application/fits", "image/fits")
CUT_SCHEMES = ("cadc", "gemini", "mast", "nrao", "vos")
"""Schemes of artifact URIs that the archive cuts; of another it says so when it is asked."""

_PLANES = "caom2.Observation AS o JOIN caom2.Plane AS p ON o.obsID = p.obsID"


def column(facet: str) -> str:
    """The column with the values of *facet*."""
    return FACETS[facet].column


def collections(piece: str = "") -> str:
    """Every collection with its count; EnumField is aggregated beforehand, so this is cheap."""
    narrowed = f" WHERE {piece}" if piece else ""
    return (
        "SELECT collection, SUM(num_tuples) AS planes FROM caom2.EnumField"
        f"{narrowed} GROUP BY collection"
    )


def descriptions(piece: str = "") -> str:
    """Which bands and instruments each collection has."""
    narrowed = f" WHERE {piece}" if piece else ""
    columns = "collection, energy_emBand, instrument_name"
    return f"SELECT DISTINCT {columns} FROM caom2.EnumField{narrowed}"


def observations(piece: str = "") -> str:
    """How many observations each collection has; slow at the archive, asked for index.csv alone."""
    narrowed = f" WHERE {piece}" if piece else ""
    return (
        "SELECT collection, COUNT(*) AS observations FROM caom2.Observation"
        f"{narrowed} GROUP BY collection"
    )


def enumeration(collection: str, piece: str = "") -> str:
    """The combinations of values that narrow a collection."""
    columns = ", ".join(ENUMERATED)
    where = _joined(f"collection = {quoted(collection)}", piece)
    return f"SELECT {columns} FROM caom2.EnumField WHERE {where}"


def values(question: Question, facet: str, piece: str = "") -> str:
    """The values of one facet among the answers to *question*."""
    asked = FACETS[facet]
    distinct = "" if asked.unique else "DISTINCT "
    return f"SELECT {distinct}{asked.column} FROM {_tables(question, facet, asked.present, piece)}"


def days(question: Question, piece: str = "") -> str:
    """The distinct days (MJD) on which the answers to *question* begin."""
    tables = _tables(question, "by-date", FACETS["by-date"].present, piece)
    return f"SELECT DISTINCT FLOOR(p.time_bounds_lower) AS mjd FROM {tables}"


def lacking(question: Question, facet: str) -> str:
    """One of the answers to *question* that have no value of *facet*, if there is any."""
    nothing = FACETS[facet].predicate(None)
    return f"SELECT TOP 1 o.observationID FROM {_tables(question, facet, nothing)}"


def counts(question: Question, piece: str = "") -> str:
    """How many planes each collection has that answer *question*.

    Where the archive's own comparison finds too much, target names come instead of counts, so
    that they can be sorted out.
    """
    name = question.value_of("name")
    where = f"FROM {_PLANES} WHERE {_joined(_predicates(question), piece)}"
    if name is not None and not is_literal(name):
        return f"SELECT DISTINCT o.collection, o.target_name {where}"
    return f"SELECT o.collection, COUNT(*) AS planes {where} GROUP BY o.collection"


def result(question: Question, piece: str = "", *, granted: bool = False) -> str:
    """The files behind a question, as one join.

    Outer joins, so that an observation without a file still says that it exists. With *granted*
    one more column tells whose data the asker may read (a function of CADC's TAP).
    """
    columns = (*LISTED_COLUMNS, GRANTED) if granted else LISTED_COLUMNS
    return (
        f"SELECT {', '.join(columns)} FROM caom2.Observation AS o "
        "LEFT OUTER JOIN caom2.Plane AS p ON o.obsID = p.obsID "
        "LEFT OUTER JOIN caom2.Artifact AS a ON p.planeID = a.planeID "
        f"WHERE {_joined(_predicates(question), piece)}"
    )


def metadata(question: Question) -> str:
    """All columns of the observations and planes behind a question.

    As astroquery asks it: what is flagged junk is left out of a region, and of nothing else.
    """
    junk = " AND (p.quality_flag IS NULL OR p.quality_flag <> 'junk')"
    cut = junk if question.value_of("region") else ""
    return f"SELECT * FROM {_PLANES} WHERE {_predicates(question)}{cut}"


def outlines(question: Question, piece: str = "") -> str:
    """What the good planes behind a question cover on the sky."""
    return (
        "SELECT o.collection, o.observationID, p.productID, p.publisherID, o.target_name, "
        f"p.position_bounds FROM {_PLANES} WHERE {_joined(_predicates(question), piece)} "
        "AND (p.quality_flag IS NULL OR p.quality_flag <> 'junk')"
    )


def cuttable(question: Question, piece: str = "") -> str:
    """The files of a region that cutouts can be made of, and what kind of data they are.

    What DataLink would tell one plane at a time: at least two axes with a celestial projection in
    some part of a FITS file, of a scheme that the archive cuts.
    """
    types = ", ".join(quoted(kind) for kind in FITS_TYPES)
    schemes = " OR ".join(f"a.uri LIKE {quoted(f'{scheme}:%')}" for scheme in CUT_SCHEMES)
    return (
        f"SELECT DISTINCT {', '.join(LISTED_COLUMNS)}, p.dataProductType FROM {_PLANES} "
        "JOIN caom2.Artifact AS a ON p.planeID = a.planeID "
        "JOIN caom2.Part AS t ON a.artifactID = t.artifactID "
        "JOIN caom2.Chunk AS c ON t.partID = c.partID "
        f"WHERE {_joined(_predicates(question), piece)} "
        "AND (p.quality_flag IS NULL OR p.quality_flag <> 'junk') "
        "AND c.naxis >= 2 AND c.positionAxis1 <= c.naxis AND c.positionAxis2 <= c.naxis "
        "AND c.position_axis_function_dimension_naxis1 IS NOT NULL "
        f"AND a.contentType IN ({types}) AND ({schemes})"
    )


def _tables(question: Question, facet: str, *more: str) -> str:
    columns = [FACETS[facet].column, *(FACETS[c.facet].column for c in question.constraints)]
    join = any(column.startswith("p.") for column in columns)
    tables = _PLANES if join else "caom2.Observation AS o"
    return f"{tables} WHERE {_joined(_predicates(question), *more)}"


def _predicates(question: Question) -> str:
    predicates = []
    if question.collection is not None:
        predicates.append(f"o.collection = {quoted(question.collection)}")
    predicates += [FACETS[c.facet].predicate(c.value) for c in question.constraints]
    return _joined(*predicates)


def _joined(*predicates: str) -> str:
    return " AND ".join(filter(None, predicates))
