"""The small archive, shared with the tests over sockets."""

from tests.archive.conftest import archive

__all__ = ["archive"]
