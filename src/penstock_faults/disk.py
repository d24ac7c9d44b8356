"""A disk whose power can be cut: an ext4 file system of its own in a file. Needs root.

`cut` shuts the file system down without flushing its journal (`EXT4_IOC_SHUTDOWN`, `fs/ext4/ioctl.c` of Linux): from then on every
write and every sync fails, and what was not written to the disk is gone when it is mounted again, which replays the journal as after
a loss of power. What the kernel had written back by itself stays, as it would on a disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_faults.waiting import wait_for

_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2
MEBIBYTES = 3_072
_WRITE_BACK = 3_600
"""Seconds between two writes of the journal that nobody asked for. With ext4's own, 5, one of them can come just before a cut, and what
nobody had synced is kept."""


class Disk:
    def __init__(self, folder: Path, mebibytes: int = MEBIBYTES) -> None:
        self._image = folder / "disk.img"
        self.root = folder / "disk"
        self.root.mkdir()
        self._unsynced = self.root / "unsynced"
        self.forgot = False
        """What nobody had synced before the last cut."""
        with self._image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))

    def mount(self) -> None:
        _run("mount", "-o", f"loop,noatime,commit={_WRITE_BACK}", str(self._image), str(self.root))
        self.forgot = not self._unsynced.exists()
        self._unsynced.unlink(missing_ok=True)

    def flush(self) -> None:
        """All of it, once: what was made carelessly before the test."""
        _run("sync", "-f", str(self.root))

    def cut(self) -> None:
        """Nothing more reaches the disk. Who has files open there has to stand still, and to end before `mount`: of a plain file with a
        sync a line, 7 of 100 cuts lost a line whose sync was under way and then said that it had been done; of 150 cuts of a process
        that stood still, none did.

        A file that nobody syncs is written before, to see by its absence that the power was cut.
        """
        self._unsynced.write_bytes(b"gone by now")
        place = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(place)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Whoever writes or syncs waits."""
        _run("fsfreeze", "--freeze", str(self.root))
        try:
            yield
        finally:
            _run("fsfreeze", "--unfreeze", str(self.root))

    def unmount(self) -> None:
        """Whose files were open there has been killed, and may not be gone yet."""
        wait_for(lambda: _tried("umount", str(self.root)).returncode == 0, "the disk to be free")


@contextmanager
def spinning(folder: Path) -> Iterator[Disk]:
    """Mounted. Exits with 77 where none can be."""
    need_root()
    disk = Disk(folder)
    disk.mount()
    try:
        yield disk
    finally:
        _tried("umount", "--lazy", str(disk.root))


@contextmanager
def cramped(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own in memory, with so much room. Exits with 77 where none can be."""
    need_root()
    root = folder / "cramped"
    root.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(root))
    try:
        yield root
    finally:
        _tried("umount", "--lazy", str(root))


def need_root() -> None:
    if os.geteuid() != 0:
        print("only root can mount a disk of its own", file=sys.stderr)
        sys.exit(77)


def _run(*command: str) -> None:
    if (done := _tried(*command)).returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


def _tried(*command: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return subprocess.run([found or command[0], *command[1:]], capture_output=True, text=True, check=False)
