"""The engines, held to the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage.check_journal import JournalContract
from tests.storage.rigs import MemoryRig, Rig, SqliteRig


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return MemoryRig()


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        rig = SqliteRig(tmp_path / "data")
        yield rig
        rig.stop()
