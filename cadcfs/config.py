"""Settings: built-in defaults < /etc/cadcfs/config.toml < the user's file < CADCFS_* < flags.

The only module that knows an address or a directory by itself. Unknown keys are refused, so a
typing error is never silently ignored.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from platformdirs import user_cache_path, user_config_path, user_state_path

from cadcfs.errors import UserError
from cadcfs.logs import LEVELS, LogFormat

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE)
PASSWORD = re.compile(r"(//[^/\s:@]*):[^/\s@]*@")
NameStyle = Literal["archive", "plain"]
CHOICES = {
    "names": get_args(NameStyle),
    "log_level": LEVELS,
    "log_format": tuple(LogFormat),
}
"""Settings that take one of a few words."""


LOOKERS = (
    "bash zsh fish sh dash tcsh ksh nu xonsh "
    "ls dir vdir find fd fdfind bfs tree eza exa lsd du dust gdu ncdu "
    "mc ranger nnn lf vifm yazi broot "
    "nautilus dolphin thunar Thunar nemo caja pcmanfm pcmanfm-qt krusader doublecmd kioworker "
    "gvfsd gvfsd-fuse xdg-desktop-portal xdg-desktop-portal-gtk xdg-desktop-portal-gnome "
    "ds9 jupyter-lab jupyter-notebook jupyter-server jupyterhub-singleuser code code-server"
)
"""Names of programs that stat everything they show."""


INDEXERS = (
    "updatedb updatedb.plocate updatedb.mlocate mlocate baloo_file baloo_file_extractor "
    "baloorunner tracker-miner-fs tracker-miner-fs-3 tracker-extract tracker-extract-3 "
    "tracker-store localsearch-3 localsearch-extractor-3 recollindex tumblerd "
    "evince-thumbnailer ffmpegthumbnailer totem-video-thumbnailer gdk-pixbuf-thumbnailer "
    "gnome-thumbnail-font gsf-office-thumbnailer atril-thumbnailer glycin-thumbnailer "
    "clamscan clamd clamonacc"
)
"""Names of programs that read whatever is mounted."""


@dataclass(frozen=True)
class Settings:
    """All that can be set; times in seconds, sizes in bytes."""

    registry_url: str = (
        "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/reg/resource-caps "
        "https://cadc-west-01.canfar.net/reg/resource-caps"
    )
    """Where the services are listed; several URLs, parted by spaces, are tried in turn."""
    tap_id: str = "ivo://cadc.nrc.ca/argus"
    """Resource identifier of the TAP service over CAOM."""
    files_id: str = "ivo://cadc.nrc.ca/global/raven"
    """Resource identifier of the service that locates files."""
    datalink_id: str = "ivo://cadc.nrc.ca/caom2ops"
    """Resource identifier of the service that links planes to files and cutouts."""
    resolver_id: str = "ivo://cadc.nrc.ca/resolver"
    """Resource identifier of the service that turns an object's name into a position."""
    login_id: str = "ivo://cadc.nrc.ca/gms"
    """Resource identifier of the service that knows the accounts."""
    domains: str = "canfar.net cadc-ccda.hia-iha.nrc-cnrc.gc.ca cadc.dao.nrc.ca"
    """Hosts and domains that may see credentials, parted by spaces, over TLS alone. An archive on
    this machine (loopback) need not be named: it is known by the other settings."""
    certificate: Path = Path.home() / ".ssl" / "cadcproxy.pem"
    """A proxy certificate with its key, used where nobody has logged in otherwise."""
    login_dir: Path = user_state_path("cadcfs") / "logins"
    """Directory of what `cadcfs login` leaves for mounts; made with mode 0700."""
    share_identity: bool = False
    """With allow_other: let the other users see the names that your account may see."""
    tap_url: str = ""
    """Base URL of a TAP service, instead of what the registry names."""
    files_url: str = ""
    """Base URL of a file service (artifact URIs are appended), instead of the registry's."""
    resolver_url: str = ""
    """URL of a name resolver (`?target=NAME` is appended), instead of the registry's."""
    site_cache: str = ""
    """URL of an HTTP cache that a whole site shares (nginx; see the how-to): asked for public bytes
    before the archive, never for others."""
    cache_dir: Path = user_cache_path("cadcfs")
    """Directory of answers and file blocks; made with mode 0700."""
    cache_size: int = 50 << 30
    """File blocks on disk at most; 1048576, 64M or 50G."""
    cache_free: int = 1 << 30
    """What file blocks leave free of the cache's disk."""
    names: NameStyle = "archive"
    """`plain` encodes everything but `[A-Za-z0-9._+:-]` in names."""
    xattr: bool = False
    """Show what is known of a file as extended attributes (`ls -l` is 40 times slower then)."""
    allow_other: bool = False
    """Let other users of this machine in (needs `user_allow_other` in /etc/fuse.conf)."""
    lookers: str = LOOKERS
    """Programs that stat all that they show, by process name, parted by spaces: for them a file
    that would have to be made has size 0."""
    stat_allowance: int = 64
    """Files a minute that one program may have made by stat without opening them."""
    walk_allowance: int = 60
    """New directories a minute that one program may ask the archive for, half of them at once;
    then it waits for its turn. 0 for no limit."""
    indexers: str = INDEXERS
    """Programs that get nothing but what is cached, by process name, parted by spaces."""
    offline: bool = False
    """Begin without the network; `cadcfs offline on|off` switches a mount."""
    metadata_time: float = 30.0
    """Time for small questions."""
    listing_time: float = 120.0
    """Time for a listing."""
    read_time: float = 60.0
    """Time without a byte before a read fails."""

    jobs_polled: int = 4
    """Jobs that are asked at once how far they are."""

    log_level: str = "info"
    """What is worth a line: debug, info, warning or error; `.cadcfs/log_level` changes it."""
    log_format: str = "text"
    """How lines are written: text, json (an object a line) or journal (systemd's, with fields)."""
    metrics_port: int = 0
    """Port of 127.0.0.1 that serves the metrics for Prometheus; 0 for none."""

    @property
    def archive(self) -> str:
        """What tells this archive from others, in keys of what is remembered."""
        return f"{self.tap_url or self.registry_url} {self.tap_id}"

    @property
    def registry_urls(self) -> tuple[str, ...]:
        return tuple(self.registry_url.split())


def load(
    flags: dict[str, Any],
    environ: dict[str, str] | None = None,
    files: tuple[Path, ...] | None = None,
) -> Settings:
    """The settings in force.

    Raises
    ------
    UserError
        An unknown key or an unusable value, with the place where it stands.
    """
    settings = Settings()
    for place, values in _layers(flags, environ, files):
        settings = _merged(settings, values, place)
    return settings


def places(
    flags: dict[str, Any],
    environ: dict[str, str] | None = None,
    files: tuple[Path, ...] | None = None,
) -> dict[str, str]:
    """Where each setting in force was set, by its key; what is not there is the default."""
    return {key: place for place, values in _layers(flags, environ, files) for key in values}


def shown(settings: Settings) -> dict[str, Any]:
    """All settings as plain values, without the passwords that an address may hold."""
    return {field.name: _plain(getattr(settings, field.name)) for field in fields(settings)}


def toml(values: dict[str, Any], notes: dict[str, str] | None = None) -> str:
    """*values* as lines of a settings file; *notes* by key follow as comments."""
    lines = []
    for key, value in values.items():
        # JSON's words for text, numbers and truth are TOML's, too.
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
        note = (notes or {}).get(key)
        lines.append(f"{line}  # {note}\n" if note else f"{line}\n")
    return "".join(lines)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Path):
        return str(value)
    return PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value


def _layers(
    flags: dict[str, Any], environ: dict[str, str] | None, files: tuple[Path, ...] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is set where, in the order in which it wins."""
    environ = dict(os.environ) if environ is None else environ
    if files is None:
        files = (Path("/etc/cadcfs/config.toml"), user_config_path("cadcfs") / "config.toml")
    for path in files:
        yield str(path), _read(path)
    yield "the environment", _from_environment(environ)
    yield "the command line", {k: v for k, v in flags.items() if v is not None}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise UserError(f"cannot read {path}: {exc}; mend or remove it") from exc


def _from_environment(environ: dict[str, str]) -> dict[str, str]:
    known = {f"CADCFS_{field.name.upper()}": field.name for field in fields(Settings)}
    return {known[name]: value for name, value in environ.items() if name in known}


def _merged(settings: Settings, values: dict[str, Any], place: str) -> Settings:
    known = {field.name for field in fields(Settings)}
    for key in values:
        if key not in known:
            raise UserError(
                f"unknown setting {key!r} in {place}; known: {', '.join(sorted(known))}"
            )
    checked = {key: _converted(key, value, place) for key, value in values.items()}
    return replace(settings, **checked)


def _converted(key: str, value: Any, place: str) -> Any:  # noqa: ANN401  (a TOML value)
    default = getattr(Settings(), key)
    try:
        if isinstance(default, bool):
            return _truth(value)
        if isinstance(default, int):
            return parse_size(value)
        if isinstance(default, float):
            number = float(value)
            if not number > 0:
                raise ValueError("must be more than 0")
            return number
        if isinstance(default, Path):
            return Path(value).expanduser().absolute()
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"must be one of {', '.join(CHOICES[key])}")
        if not isinstance(value, str):
            raise TypeError("must be text")
    except (TypeError, ValueError) as exc:
        raise UserError(f"{key} = {value!r} in {place}: {exc}") from exc
    return value


def parse_size(value: object) -> int:
    """Bytes of 1048576, 64K, 1.5G or 20GiB (powers of 1024)."""
    if isinstance(value, int):
        found = value
    else:
        match = SIZE.fullmatch(str(value).strip())
        if match is None:
            raise ValueError("must be a size, as 64M or 50G")
        power = " KMGT".index((match[2] or " ").upper())
        found = int(float(match[1]) * 1024**power)
    if found < 0:
        raise ValueError("must not be negative")
    return found


def _truth(value: object) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "0": False,
        "false": False,
        "no": False,
        "": True,
    }
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("must be true or false")
