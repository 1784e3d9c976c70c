"""Dialects: paths, headers, envelopes, field names and state words as data.

The built-in dialect is the best inference of today. A user's file, YAML or TOML, overrides it in
part.
"""

from barrack_tasks.api.dialect.address import own_address
from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.codec import Codec, codec_of
from barrack_tasks.api.dialect.loading import (
    DialectError,
    is_text,
    load_dialect,
    read_dialect,
    text_of_dialect,
)
from barrack_tasks.api.dialect.model import (
    Auth,
    Case,
    Dialect,
    Failure,
    Join,
    Lookup,
    OperationWire,
    Paging,
    Value,
    Work,
)

__all__ = [
    "Auth",
    "Case",
    "Codec",
    "Dialect",
    "DialectError",
    "Failure",
    "Join",
    "Lookup",
    "OperationWire",
    "Paging",
    "Value",
    "Work",
    "builtin",
    "codec_of",
    "is_text",
    "load_dialect",
    "own_address",
    "read_dialect",
    "text_of_dialect",
]
