"""The DataLink vocabulary in brief, for clients that would fetch it from the network.

The terms and their order (narrower, wider) are those of IVOA's vocabulary `datalink/core`; the
form is "desise" (Vocabularies in the VO 2.1, section 3.2.1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "http://www.ivoa.net/rdf/datalink/core"

_WIDER = {
    "bias": "calibration",
    "dark": "calibration",
    "flat": "calibration",
    "cutout": "proc",
    "preview-image": "preview",
    "preview-plot": "preview",
    "thumbnail": "preview",
}
_ALONE = (
    "this", "progenitor", "derivation", "auxiliary", "weight", "error", "noise", "calibration",
    "preview", "proc", "package", "documentation", "coderived", "counterpart",
)  # fmt: skip


def document() -> str:
    """Write the vocabulary."""
    terms = {
        name: {
            "label": name.replace("-", " ").capitalize(),
            "description": f"Links of the kind {name}",
            "wider": [_WIDER[name]] if name in _WIDER else [],
            "narrower": [narrow for narrow, wide in _WIDER.items() if wide == name],
        }
        for name in (*_ALONE, *_WIDER)
    }
    return json.dumps({"uri": ADDRESS, "flavour": "RDF Property", "terms": terms})


@contextmanager
def in_the_cache_of_astropy(directory: Path) -> Iterator[None]:
    """Let astropy keep its downloads in a directory, where the vocabulary is already."""
    from astropy.config.paths import set_temp_cache
    from astropy.utils.data import import_file_to_cache
    from pyvo.utils.vocabularies import get_vocabulary

    source = directory / "vocabulary.json"
    source.write_text(document())
    get_vocabulary.cache_clear()
    with set_temp_cache(directory):
        import_file_to_cache(ADDRESS, str(source))
        yield
    get_vocabulary.cache_clear()
