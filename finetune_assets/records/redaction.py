"""Redaction of personal data that has a form, for whatever people may read and for what is kept of live traffic.

Names of people have no form and are not found: where names matter, the field must be dropped or hashed.
"""

from __future__ import annotations

import re

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_REDACTIONS = (
    # A local part has at most 64 signs (RFC 5321); without that bound a long word takes the square of its length.
    (re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
    # Dates come before numbers, or a date would leave as half a phone number.
    (re.compile(r"\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b\d{4}[./-]\d{1,2}[./-]\d{1,2}\b"), "[date]"),
    (re.compile(rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH},?\s+\d{{4}}\b", re.IGNORECASE), "[date]"),
    (re.compile(rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}\b", re.IGNORECASE), "[date]"),
    # Seven or more digits with single separators between them: phone, health, card and account numbers.
    (re.compile(r"\+?\(?\d(?:[\s().\-/\u00a0]{0,2}\d){6,}"), "[number]"),
)


def redact(text: str) -> str:
    """Return `text` with e-mail addresses, dates and long numbers replaced by `[e-mail]`, `[date]` and `[number]`.

    Long numbers are runs of at least seven digits, with or without separators: phone numbers, health and account
    numbers. Names of people are not found by patterns and stay; where names matter, the text must not be shown.

    Args:
        text: any text.

    Returns:
        The redacted text; redacting it again changes nothing.
    """
    for pattern, mask in _REDACTIONS:
        text = pattern.sub(mask, text)
    return text
