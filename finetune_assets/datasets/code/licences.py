"""The licence that a file's header names, as an SPDX identifier."""

from __future__ import annotations

import re

# Best first: a header of the LGPL names the GPL too.
_KNOWN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("Apache-2.0", r"apache license,? version 2\.0|apache\.org/licenses/license-2\.0"),
        ("MIT", r"\bMIT license\b|permission is hereby granted, free of charge"),
        ("BSD-3-Clause", r"neither the name of .{0,200} nor the names of"),
        ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
        ("MPL-2.0", r"mozilla public license"),
        ("EPL-2.0", r"eclipse public license"),
        ("AGPL-3.0", r"gnu affero general public license"),
        ("LGPL-3.0", r"gnu lesser general public license"),
        ("GPL-3.0", r"gnu general public license.{0,200}version 3"),
        ("GPL-2.0", r"gnu general public license"),
    )
)
_SPDX = re.compile(r"SPDX-License-Identifier:\s*([\w.+-]+(?:\s+(?:OR|AND|WITH)\s+[\w.+-]+)*)")
_CLAIM = re.compile(r"(?i)copyright|all rights reserved|licen[sc]ed")
_HEADER = re.compile(r"\A\s*(?:/\*.*?\*/|(?:[ \t]*(?://|#)[^\n]*\n\s*)+)", re.DOTALL)
_LONGEST = 8_000
UNKNOWN = "unknown"


def licence_of(text: str) -> str:
    """Return the licence of a file.

    Args:
        text: the file's text; its header is the comment that it begins with.

    Returns:
        An SPDX identifier, `unknown` for a header that claims rights without a licence known here, "" without either.
    """
    match = _HEADER.match(text[:_LONGEST])
    if match is None:
        return ""
    header = " ".join(re.sub(r"(?m)^[ \t]*(?:/?\*+|//|#)", " ", match[0]).split())
    if spdx := _SPDX.search(header):
        return spdx[1]
    for name, pattern in _KNOWN:
        if pattern.search(header):
            return name
    return UNKNOWN if _CLAIM.search(header) else ""
