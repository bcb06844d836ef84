from __future__ import annotations

import copy
from pathlib import Path

import pytest

from finetune_assets.datasets.code.licences import licence_of
from finetune_assets.datasets.code.prose import NOTHING, mask_addresses, plain_text, read_documentation
from finetune_assets.datasets.code.secrets import secret_lines
from finetune_assets.datasets.code.signs import bidi_lines, look_alikes

# Put together here, so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.mark.parametrize(
    "line",
    [
        f'String k = "{AWS}";',
        f'token = "{GITHUB}"',
        'String password = "hunter2";',
        'String p = "user=a;password=hunter2";',
        'connect("https://admin:pa55word@db.example/x");',
        "-----BEGIN RSA PRIVATE KEY-----",
        "x" * 5_000 + f' "{AWS}"',
    ],
)
def test_secrets_are_found_by_line(line: str) -> None:
    found = secret_lines(f"class A {{\n// größe\n{line}\n}}\n")
    assert list(found) == [3]
    assert all(part not in str(found) for part in (AWS, GITHUB, "hunter2", "pa55word"))


@pytest.mark.parametrize(
    "line",
    [
        'String secretKey = lookUp("name");',
        'if (password.equals("abc")) return isolate;',
        "public static final long serialVersionUID = 1234567890123456789L;",
        "http://commons.apache.org/proper/commons-lang/apidocs/ClassUtils2.html#section-3",
        'String password = "${password}";',
        "Map<String, List<Integer>> countsByCategory2 = new ConcurrentHashMap<>();",
    ],
)
def test_ordinary_code_is_no_secret(line: str) -> None:
    assert secret_lines(line) == {}


def test_no_secret_in_real_files(real_data: Path) -> None:
    found = [
        path.name for path in sorted((real_data / "java" / "src").rglob("*.java")) if secret_lines(path.read_text())
    ]
    assert found == []


def test_the_library_keeps_its_settings() -> None:
    from detect_secrets.settings import get_settings

    before = copy.deepcopy(get_settings().json())
    secret_lines(f'password = "{AWS}"')
    assert get_settings().json() == before


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        ("/*\n * Licensed under the Apache License, Version 2.0\n */\n", "Apache-2.0"),
        ("// SPDX-License-Identifier: MIT OR Apache-2.0\n// more\n", "MIT OR Apache-2.0"),
        ("# Permission is hereby granted, free of charge, to any person\n", "MIT"),
        ("/* GNU Lesser General Public License, see the GNU General Public License */", "LGPL-3.0"),
        ("/* Copyright 2020 Somebody */", "unknown"),
        ("/** What the class does. */", ""),
        ("package a;\n/* Apache License, Version 2.0 */", ""),
    ],
)
def test_licences(header: str, licence: str) -> None:
    assert licence_of(f"{header}class A {{}}\n") == licence


def test_characters_that_deceive() -> None:
    assert bidi_lines("a\nb \u202e c\n\u2066") == [2, 3]
    assert look_alikes("größe имя naïve café") == []
    assert look_alikes("int p\u0430ypal = \u0421;") == ["p\u0430ypal", "\u0421"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Tests {@code a < b} and {@link List#of(Object, int) a list}.", "Tests `a < b` and a list."),
        ("See {@link #size}, {@linkplain Map maps}.", "See `size`, maps."),
        ("One.\n<p>Two &lt;x&gt;<br>three <b>four</b>.</p>", "One.\n\nTwo <x>\n\nthree four."),
        ("Is:\n<ul>\n<li>one</li>\n <li>two\n  lines</li></ul>", "Is:\n- one\n- two lines"),
        ("Do:\n<pre>{@code\n  a();\n    b();\n}</pre>", "Do:\n\n```\na();\n  b();\n```"),
        ("{@return the size}", "Returns the size"),
        ("mail bob@example.com now", "mail [e-mail] now"),
        ("{@inheritDoc}", ""),
        ("a {@code {x}} b", "a `{x}` b"),
    ],
)
def test_markup_becomes_text(markup: str, text: str) -> None:
    assert plain_text(markup) == text


def test_a_code_tag_that_is_closed_in_the_next_block_is_not_shown() -> None:
    broken = "A.\n<pre>{@code\n x(() -> y)\n </pre>\n<pre>\n z()\n }</pre>"
    assert plain_text(broken).startswith("A.\n\n```\nx(() -> y)\n```")
    assert plain_text("<pre>{@code\n f(() -> { g(); });\n}</pre>") == "```\nf(() -> { g(); });\n```"


def test_documentation_is_what_the_comment_says() -> None:
    words = read_documentation(
        "/**\n * Adds.\n *\n * @author Bob bob@example.com\n * @param a {@code int} to add\n * @param <T> kind\n"
        " * @return the {@code sum}\n * @throws E when full\n */"
    )
    assert words.text == "Adds."
    assert words.params == (("a", "`int` to add"), ("<T>", "kind"))
    assert (words.returns, words.throws) == ("the `sum`", (("E", "when full"),))
    assert "Bob" not in str(words)
    assert read_documentation("/** @param {string} a - the name */").params == (("a", "the name"),)
    assert read_documentation("Line.\n\n    More.\n    ").text == "Line.\n\nMore."
    for silent in (None, "", "/** */", "/** {@inheritDoc} */", "/** Licensed under the Apache License. */"):
        assert read_documentation(silent).is_blank
    assert read_documentation(None) == NOTHING
    assert read_documentation("/** Checks the copyright of a page. */").text
    assert mask_addresses("@Override a@b") == "@Override a@b"
