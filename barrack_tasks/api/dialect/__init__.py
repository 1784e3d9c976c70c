"""Dialects: paths, headers, envelopes, field names and state words as data.

The built-in dialect is the best inference of today. A user's file, YAML or TOML, overrides it in
part.
"""

from barrack_tasks.api.dialect.address import own_address
from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.codec import Codec
from barrack_tasks.api.dialect.loading import DialectError, load_dialect
from barrack_tasks.api.dialect.model import Auth, Dialect, OperationWire, Paging

__all__ = [
    "Auth",
    "Codec",
    "Dialect",
    "DialectError",
    "OperationWire",
    "Paging",
    "builtin",
    "load_dialect",
    "own_address",
]
