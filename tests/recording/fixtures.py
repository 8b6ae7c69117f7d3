"""The recording proxy in the tests: all requests of some modules, or of the whole suite.

`pytestmark = pytest.mark.usefixtures("recorded")` sends a module's mounts and commands through it;
CADCFS_TESTS_PROXY=1 all that the tests start, but for tests marked `direct`, which are about hosts
that do not answer: a proxy answers for them. What was seen is judged when all tests are done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from cadcfs.demo.server import Served
from tests.recording.records import WHERE, Recording, declare, recording, traces

WHOLE = "CADCFS_TESTS_PROXY"
KEY = "recorded"

Told = dict[str, object]
told_key = pytest.StashKey[list[Told]]()


@pytest.fixture(scope="session")
def recorder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recording]:
    """The proxy; fails the session where a credential went astray or lies where it must not."""
    with recording() as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(WHERE, str(running.directory))
            yield running
        leaks, secrets = running.leaks(), running.secrets()
        caches = [log.parent for log in tmp_path_factory.getbasetemp().rglob("cadcfs.log")]
        found = traces(caches, secrets)
        told: Told = running.numbers() | {"caches": len(caches), "leaks": leaks, "traces": found}
        output = getattr(request.config, "workeroutput", None)
        if output is None:
            request.config.stash.setdefault(told_key, []).append(told)
        else:
            output[KEY] = told
        assert not leaks, "\n".join(["credentials went astray", *leaks])
        assert not found, "\n".join(["secrets are left behind", *found])


@pytest.fixture(scope="session", autouse=True)
def all_is_recorded(request: pytest.FixtureRequest) -> Iterator[None]:
    """With CADCFS_TESTS_PROXY=1 every program that the tests start asks by the proxy."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get(WHOLE):
            for name, value in request.getfixturevalue("recorder").environ.items():
                patch.setenv(name, value)
            # Servers in the tests' own process are the archive's, too.
            patch.setattr("cadcfs.demo.server.Served", _declared)
        yield


def _declared(*told: object) -> Served:
    served = Served(*told)  # type: ignore[arg-type]
    declare(served.base_url)
    declare(served.secure_registry_url, certificates=served.certificates.directory)
    return served


@pytest.fixture
def recorded(recorder: Recording, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """What this test starts asks by the proxy."""
    for name, value in recorder.environ.items():
        monkeypatch.setenv(name, value)
    return recorder


@pytest.fixture(autouse=True)
def recorded_by_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are told by the test that makes them; those of a test that is `direct` are not."""
    if not (os.environ.get(WHOLE) or "recorded" in request.fixturenames):
        return
    recorder = request.getfixturevalue("recorder")
    recorder.tests.append((time.time(), request.node.nodeid))
    if request.node.get_closest_marker("direct"):
        recorder.direct += 1
        for name in recorder.environ:
            monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """What a worker has recorded is for the whole session's report."""
    output, config = getattr(node, "workeroutput", {}), getattr(node, "config")  # noqa: B009
    if KEY in output:
        config.stash.setdefault(told_key, []).append(output[KEY])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line of what was recorded; the hosts of a whole suite."""
    told = config.stash.get(told_key, [])
    if not told:
        return

    def sum_of(name: str) -> int:
        return sum(value for each in told if isinstance(value := each[name], int))

    def all_of(name: str) -> list[str]:
        return sorted({str(v) for each in told if isinstance(of := each[name], list) for v in of})

    terminalreporter.write_line(
        f"recorded: {sum_of('requests')} requests to {len(all_of('origins'))} servers "
        f"({', '.join(all_of('hosts'))}), {sum_of('carrying')} with credentials; "
        f"{sum_of('secrets')} secrets looked for in {sum_of('caches')} caches and their logs; "
        f"went astray: {len(all_of('leaks'))}, left behind: {len(all_of('traces'))}, "
        f"tunnels unseen: {sum_of('unseen')}, tests without the proxy: {sum_of('direct')}"
    )
