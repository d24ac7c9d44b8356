"""Messages with options, as the api would make them."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from penstock.model.message import Message, Options


def with_options(message: Message, options: Options) -> Message:
    return replace(message, options=msgspec.json.encode(options))
