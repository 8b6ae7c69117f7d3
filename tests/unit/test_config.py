"""Settings: which layer wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cadcfs.config import Settings, load
from cadcfs.errors import UserError


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    site, own = tmp_path / "site.toml", tmp_path / "own.toml"
    site.write_text('registry_url = "http://site/"\ntap_url = "http://site/tap"\nread_time = 5\n')
    own.write_text('registry_url = "http://own/"\nfiles_url = "http://own/files"\n')
    environ = {"CADCFS_REGISTRY_URL": "http://env/", "CADCFS_CACHE_DIR": "/c", "HOME": "/x"}
    settings = load({"registry_url": "http://flag/", "names": None}, environ, (site, own))
    assert settings.registry_url == "http://flag/"
    assert settings.tap_url == "http://site/tap"
    assert settings.files_url == "http://own/files"
    assert settings.cache_dir == Path("/c")
    assert settings.read_time == 5.0
    assert load({}, environ, (site, own)).registry_url == "http://env/"
    assert load({}, {}, ()) == Settings()


@pytest.mark.parametrize(
    ("text", "size"),
    [("64M", 64 << 20), ("1.5G", 3 << 29), ("20GiB", 20 << 30), ("1048576", 1 << 20), ("0", 0)],
)
def test_sizes_in_powers_of_1024(text: str, size: int) -> None:
    assert load({"cache_size": text}, {}, ()).cache_size == size


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("regsitry_url = 'x'", "unknown setting 'regsitry_url'"),
        ("names = 'fancy'", "must be one of archive, plain"),
        ("read_time = 'long'", "could not convert"),
        ("read_time = 0", "more than 0"),
        ("allow_other = 'perhaps'", "true or false"),
        ("registry_url = 3", "must be text"),
        ("cache_size = '5 bananas'", "must be a size"),
        ("cache_free = -1", "must not be negative"),
        ("registry_url", "cannot read"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        load({}, {}, (file,))
    assert str(file) in str(caught.value)
