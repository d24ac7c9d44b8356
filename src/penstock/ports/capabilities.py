"""What a store can do beyond its ports, as data: one file for each backend."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from penstock.errors import ConfigurationError


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A backend's file is TOML with a line for each of these, `true` or `false`. The suite tests what it says: both ways, but for `tells`,
    which is believed where it is `false`."""

    joins: bool
    """A user's open connection can be joined. Without it `Store.join` raises CapabilityMissing."""
    checks_durability: bool
    """It knows how durable a joined connection is, and refuses a weaker one with ConfigurationError. Without it any is taken."""
    follows_the_wall: bool
    """Its time is that of its machine's wall clock, which may be set; without it a server's."""
    tells: bool
    """Who waits for the end of a job is told of it by another process; without it only by looking."""

    @classmethod
    def read(cls, path: Path) -> Capabilities:
        """Raises ConfigurationError for a file that cannot be read, or does not say exactly these."""
        try:
            return msgspec.toml.decode(path.read_bytes(), type=cls)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise ConfigurationError(
                f"capabilities {path}: {error}; it needs a line for each of {', '.join(cls.__struct_fields__)}"
            ) from error
