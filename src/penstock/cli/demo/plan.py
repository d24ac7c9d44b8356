"""What one run of the demo is, and where its files are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

FOLDER = "PENSTOCK_DEMO_FOLDER"
SMTP_PORT = "PENSTOCK_DEMO_SMTP_PORT"
"""What the children find in their environment."""


class Files(Struct, frozen=True):
    folder: Path
    url: str | None = None
    """Of a database; None: a file in the folder."""

    @property
    def store(self) -> str:
        return self.url or f"sqlite:///{quote(str(self.database))}"

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
    def temporary(self) -> Path:
        """A folder, of files that nobody needs for long."""
        return self.folder / "temporary"

    @property
    def shelf(self) -> Path:
        return self.folder / "shelf.jsonl"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"


class Plan(Files, frozen=True, kw_only=True):
    keep: bool
    seconds: float | None
    """None: until somebody says so."""
    kills: int
    seed: int
    rate: float = 40.0
    workers: int = 2
