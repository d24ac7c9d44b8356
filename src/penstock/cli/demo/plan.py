"""What one run of the demo is, and where its files are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from msgspec import Struct


class Plan(Struct, frozen=True):
    folder: Path
    keep: bool
    seconds: float | None
    """None: until somebody says so."""
    kills: int
    seed: int
    rate: float = 40.0
    workers: int = 2

    @property
    def store(self) -> str:
        return f"sqlite:///{quote(str(self.database))}"

    @property
    def database(self) -> Path:
        return self.folder / "demo.db"

    @property
    def visits(self) -> Path:
        return self.folder / "visits.jsonl"

    @property
    def spool(self) -> Path:
        return self.folder / "spool.jsonl"

    @property
    def mailboxes(self) -> Path:
        return self.folder / "mailboxes"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"
