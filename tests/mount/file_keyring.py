"""A keyring in a file, which can be locked: what a desktop's is to the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    """`PYTHON_KEYRING_BACKEND=tests.mount.file_keyring.FileKeyring`; locked beside FILE.locked."""

    priority = 1.0  # type: ignore[assignment]

    @property
    def _file(self) -> Path:
        return Path(os.environ["TESTS_KEYRING"])

    def _kept(self) -> dict[str, str]:
        if self._file.with_suffix(".locked").exists():
            raise KeyringLocked
        found: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self._kept().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps(self._kept() | {f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        if kept.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._file.write_text(json.dumps(kept))
