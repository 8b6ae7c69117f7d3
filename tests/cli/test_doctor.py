"""Broken set-ups: `doctor` and a mount that fails name cause and cure, each in a sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cadcfs.doctor import machine, places
from cadcfs.doctor.finding import Level
from cadcfs.kernel import confinement
from cadcfs.kernel.attaching import CURES, explained
from tests.rig import CADCFS, Mount, Server, wait_for_end

WRONG = "http://127.0.0.1:9/reg/resource-caps"
NO_DEVICE = "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec "
WITHOUT_PRIVILEGE = ("setpriv", "--bounding-set", "-sys_admin")


@pytest.fixture
def sky(tmp_path: Path, server: Server) -> Mount:
    (tmp_path / "sky").mkdir()
    return Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", place], check=True)
    try:
        with (place / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096) == 4096:
                pass
    except OSError:
        pass
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def words(what: str, mount: Mount, *options: str) -> list[str]:
    command = [*CADCFS, what, "--registry-url", mount.registry_url, *options]
    if "--cache-dir" not in options:
        command += ["--cache-dir", str(mount.cache)]
    return [*command, str(mount.path)]


def run(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | environ
    )


def problems(command: list[str], *, code: int = 1, **environ: str) -> dict[str, str]:
    """What doctor finds wrong: sentences by subject."""
    done = run([*command, "--json"], **environ)
    assert done.returncode == code, done.stdout + done.stderr
    found = [each for each in json.loads(done.stdout) if each["level"] == "problem"]
    assert all(each["cure"] for each in found)
    return {each["subject"]: f"{each['words']}; {each['cure']}" for each in found}


def refused(command: list[str], **environ: str) -> str:
    done = run(command, **environ)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("cadcfs: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_all_is_well(sky: Mount) -> None:
    assert problems(words("doctor", sky), code=0) == {}
    plain = run(words("doctor", sky))
    assert plain.returncode == 0
    assert "ok       TAP " in plain.stdout
    assert "ok       clock " in plain.stdout


def test_there_is_no_fuse(sky: Mount) -> None:
    for what in ("mount", "doctor"):
        command = ["unshare", "-m", "sh", "-c", NO_DEVICE + '"$@"', "sh", *words(what, sky)]
        told = refused(command) if what == "mount" else problems(command)["fuse"]
        assert "there is no /dev/fuse" in told
        assert "modprobe fuse" in told


def test_there_is_no_libfuse(sky: Mount, tmp_path: Path) -> None:
    """As on a node without the library, where `cadc://` is all that is wanted."""
    missing = "libfuse3.so.3: cannot open shared object file"
    (tmp_path / "pyfuse3.py").write_text(f"raise ImportError({missing!r}, name='pyfuse3')\n")
    told = refused(words("mount", sky), PYTHONPATH=str(tmp_path))
    found = problems(words("doctor", sky), PYTHONPATH=str(tmp_path))
    for sentence in (told, found["libraries"]):
        assert f"pyfuse3 cannot be loaded ({missing})" in sentence
        assert "install the package libfuse3-3" in sentence
    code = (
        "import fsspec; print(fsspec.filesystem('cadc', "
        f"registry_url={sky.registry_url!r}, cache_dir={str(sky.cache)!r}).ls('', detail=False))"
    )
    done = run([sys.executable, "-c", code], PYTHONPATH=str(tmp_path))
    assert "collections" in done.stdout, done.stderr


def test_mounting_is_not_permitted(sky: Mount) -> None:
    told = refused([*WITHOUT_PRIVILEGE, *words("mount", sky)])
    assert "this process may not mount" in told
    assert "--cap-add SYS_ADMIN" in told
    found = problems([*WITHOUT_PRIVILEGE, *words("doctor", sky)])
    assert "CAP_SYS_ADMIN is withheld" in found["privilege"]


def test_the_mount_point_is_busy(sky: Mount) -> None:
    (sky.path / "file").touch()
    assert "name an empty directory" in refused(words("mount", sky))
    assert "busy: there are files in it" in problems(words("doctor", sky))["mount point"]


def test_the_mount_point_is_dead_and_mounting_mends_it(sky: Mount) -> None:
    sky.start()
    daemon = sky.pid()
    # Its watchdog first, which would clean up.
    for pid in (*sorted(processes_of(sky) - {daemon}), daemon):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    told = problems(words("doctor", sky))["mount point"]
    assert "the daemon of the mount" in told
    assert f"cadcfs umount --lazy {sky.path}" in told
    sky.start()
    sky.stop()


def processes_of(mount: Mount) -> set[int]:
    """The daemon and its watchdog, which have the same command line."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(mount.path) in words and b"mount" in words:
            found.add(int(path.parent.name))
    return found


def test_the_disk_is_full(sky: Mount, full_disk: Path) -> None:
    cache = ("--cache-dir", str(full_disk / "cache"))
    told = refused(words("mount", sky, *cache))
    assert "full" in told
    assert "name another directory with --cache-dir" in told
    assert "is full; make room" in problems(words("doctor", sky, *cache))["cache"]


@pytest.mark.direct
def test_the_registry_is_wrong(sky: Mount) -> None:
    sky.registry_url = WRONG
    told = refused(words("mount", sky))
    found = problems(words("doctor", sky))
    for sentence in (told, found["registry"]):
        assert "no registry answers" in sentence
        assert "cannot be reached" in sentence
        assert "--registry-url" in sentence


def test_the_certificate_has_expired(sky: Mount, server: Server, tmp_path: Path) -> None:
    certificate = tmp_path / "expired.pem"
    certificate.write_bytes(expired())
    certificate.chmod(0o600)
    sky.registry_url = server.secure_registry_url
    options = ("-o", f"certificate={certificate},login_dir={tmp_path / 'logins'}")
    trust = {"SSL_CERT_FILE": str(server.certificates / "ca.pem")}
    found = problems(words("doctor", sky, *options), **trust)
    assert "has ended at 2020-01-02" in found["certificate"]
    assert "cadc-get-cert" in found["certificate"]
    done = run(words("mount", sky, *options), CADCFS_WALK_ALLOWANCE="0", **trust)
    try:
        # What is public needs no certificate: it is mounted, and told all the same.
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "mounted, but as nobody" in done.stderr
        assert "has ended at 2020-01-02" in done.stderr
        assert "cadc-get-cert" in done.stderr
        assert os.listdir(sky.path / "collections")
    finally:
        sky.stop()


def expired() -> bytes:
    """A certificate with its key that ended long ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    begins = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


@pytest.fixture
def confined(tmp_path: Path) -> Path:
    """A machine on which AppArmor confines fusermount3, as Ubuntu 25.04 does."""
    root = tmp_path / "machine"
    parameters = root / "sys/module/apparmor/parameters"
    parameters.mkdir(parents=True)
    (parameters / "enabled").write_text("Y\n")
    profiles = root / "sys/kernel/security/apparmor"
    profiles.mkdir(parents=True)
    (profiles / "profiles").write_text("busybox (unconfined)\nfusermount3 (enforce)\n")
    (root / "etc/apparmor.d/local").mkdir(parents=True)
    return root


def test_apparmor_refuses_the_place(confined: Path) -> None:
    said = "fusermount3: mount failed: Permission denied"
    told = explained(said, Path("/cadc"), confined)
    assert "AppArmor confines fusermount3" in told
    assert "mount below your home directory" in told
    assert "AppArmor" not in explained(said, Path.home() / "cadc", confined)
    assert not confinement.forbids(Path("/mnt/cadc"), confined)
    (confined / "etc/apparmor.d/local/fusermount3").write_text(
        "mount fstype=fuse.cadcfs options=(nosuid,nodev,ro) -> /cadc/,\n"
    )
    assert not confinement.forbids(Path("/cadc"), confined)
    (confined / "sys/module/apparmor/parameters/enabled").write_text("N\n")
    assert not confinement.forbids(Path("/data"), confined)


@pytest.mark.parametrize(("part", "cause", "cure"), CURES)
def test_what_fusermount_says_is_explained(
    tmp_path: Path, part: str, cause: str, cure: str
) -> None:
    told = explained(f"fusermount3: something {part} something", tmp_path, tmp_path)
    assert told == f"{cause}; {cure}"


def test_a_machine_is_looked_at(tmp_path: Path, confined: Path) -> None:
    kernel = {release: machine._kernel(release).level for release in ("6.1.0-17", "6.12.5", "6.13")}
    assert kernel == {"6.1.0-17": Level.ok, "6.12.5": Level.warning, "6.13": Level.ok}
    (confined / "proc/self").mkdir(parents=True)
    (confined / "proc/self/status").write_text("NSpid:\t4711\t1\nCapBnd:\t000001ffffffffff\n")
    (confined / "proc/self/mountinfo").write_text("")
    assert "--pid=host" in str(machine._callers(confined))
    assert machine._privilege(confined).level is Level.ok
    assert "AppArmor" not in str(places.mount_point(tmp_path / "none"))
    assert places.file_system(Path("/proc")) == "proc"


def test_the_self_test_works_against_the_embedded_archive(server: Server) -> None:
    done = run([*CADCFS, "doctor", "--live", "--json", "--registry-url", server.registry_url])
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [each["subject"] for each in told] == [
        "registry", "capabilities", "region", "listing", "header", "cutout", "job",
    ]  # fmt: skip
    assert all(each["level"] == "ok" for each in told)


def test_the_self_test_tells_which_step_fails(server: Server) -> None:
    fault = server.fault("busy", path="/argus/async", status=500)
    try:
        done = run([*CADCFS, "doctor", "--live", "--registry-url", server.registry_url])
    finally:
        server.mend(fault)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == 6
    assert "problem  job" in done.stdout
    assert "HTTP 500" in done.stdout


def test_the_command_starts_without_heavy_libraries() -> None:
    done = run([sys.executable, "-X", "importtime", "-m", "cadcfs", "--help"])
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"astropy", "pyvo", "numpy", "trio", "httpx", "pyfuse3", "diskcache", "pyarrow",
             "cryptography", "prometheus_client", "starlette", "keyring"}  # fmt: skip
    assert loaded & heavy == set()
