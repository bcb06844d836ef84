from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.code.doc_comments import block_tags, description_of
from finetune_assets.datasets.code.extract import parses
from finetune_assets.datasets.code.signs import bidi_lines, look_alikes
from finetune_assets.datasets.code.source_text import normal_bytes, resolve_rest, translate_escapes
from finetune_assets.datasets.synthetic.java_code import sample_files
from finetune_assets_tests.datasets.code.oracle import JAVA, differences, oracle_files, read_java


def test_nothing_differs_from_javac_on_real_files(real_data: Path) -> None:
    wrong: list[str] = []
    types = methods = fields = files = 0
    for known, text in oracle_files(real_data):
        found = read_java(text)
        assert not found.faults
        wrong += differences(known, found)
        files, types = files + 1, types + len(found.types)
        methods, fields = methods + len(found.methods), fields + len(found.fields)
    assert wrong == []
    assert (files, types, methods, fields) == (290, 425, 2_242, 714)


NASTY = {
    "01_bom": (["T"], ["T.m"], [], 0),
    "02_crlf": (["T"], [], [], 0),
    "07_unicode_escape_ident": (["T"], ["T.m"], ["abc"], 0),
    "10_comment_in_string": (["T"], [], ["s", "u", "a"], 0),
    "11_quote_chars": (["T"], ["T.m"], ["c", "d", "e", "f", "s"], 0),
    "12_text_block": (["T"], ["T.m"], ["s"], 0),
    "15_two_javadocs": (["T"], ["T.a"], [], 0),
    "16_doc_then_annotation": (["T"], ["T.toString"], [], 0),
    "17_annotation_then_doc": (["T"], ["T.a"], [], 0),
    "20_sealed": (["S", "S.A", "S.B"], [], [], 0),
    "21_enum_body": (
        ["E"],
        ["E.<anonymous>.run", "E.<anonymous>.run", "E.<init>", "E.<init>"],
        ["A", "B", "v"],
        0,
    ),
    "22_interface_members": (["I"], ["I.a", "I.b", "I.c", "I.d"], ["K"], 0),
    "25_local_types": (["T", "T.L", "T.R", "T.E", "T.I"], ["T.m", "T.L.x"], ["a", "A"], 0),
    "26_c_style_arrays": (["T"], ["T.f"], ["a", "b", "c"], 0),
    "27_nested_generics": (["T"], ["T.g"], ["m"], 0),
    "30_contextual_names": (
        ["T"],
        ["T.record"],
        ["record", "sealed", "permits", "yield", "var", "when", "module"],
        0,
    ),
    "31_switch_arrow": (["T"], ["T.m"], [], 0),
    "32_record_pattern": (["T", "T.P"], ["T.m"], ["a", "b"], 0),
    "35_module_info": ([], [], [], 0),
    "36_package_info": ([], [], [], 0),
    "37_two_top_level": (["A", "B", "C"], ["A.a", "B.b"], [], 0),
    "40_empty": ([], [], [], 0),
    "41_only_comment": ([], [], [], 0),
    "45_homoglyph_ident": (["\u0422"], [], ["\u0430", "a"], 0),
    "46_bidi": (["T"], [], ["a"], 0),
    "47_secrets": (["T"], ["T.m"], ["k", "p"], 0),
    "51_kotlin": ([], [], [], 1),
    "52_template": ([], [], [], 1),
    "55_lambda_block": (["T", "T.Q"], ["T.Q.z", "T.st"], ["r"], 0),
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_have_their_outcome(real_data: Path, name: str) -> None:
    text = (real_data / "nasty" / "java" / f"{name}.java").read_bytes().decode()
    found = read_java(text)
    types, methods, fields, faults = NASTY[name]
    assert [item.path for item in found.types] == types
    assert [item.path for item in found.methods] == methods
    assert [item.name for item in found.fields] == fields
    assert len(found.faults) == faults


def test_every_nasty_file_has_an_outcome_somewhere(real_data: Path) -> None:
    lines = (real_data / "nasty" / "INDEX.jsonl").read_text(encoding="utf-8").splitlines()
    listed = {Path(row["file"]).stem for line in lines if (row := json.loads(line))["format"] == "java"}
    # UTF-16, NUL and a class file never reach the extraction: the reader refuses them.
    assert listed == {*NASTY, "05_utf16", "06_nul", "42_deep_nesting", "50_classfile"}


def test_what_the_nasty_files_say(real_data: Path) -> None:
    def read(name: str):  # type: ignore[no-untyped-def]
        return read_java((real_data / "nasty" / "java" / f"{name}.java").read_bytes().decode())

    assert description_of(read("02_crlf").types[0].doc) == "Doc."
    assert description_of(read("15_two_javadocs").methods[0].doc) == "new"
    method = read("16_doc_then_annotation").methods[0]
    assert (description_of(method.doc), method.annotations) == ("D.", ("Override", "SuppressWarnings"))
    assert read("17_annotation_then_doc").methods[0].doc is None
    sealed = read("20_sealed").types
    assert [item.modifiers for item in sealed] == [("sealed",), ("final",), ("non-sealed",)]
    assert sealed[0].permits == ("S.A", "S.B")
    arrays = read("26_c_style_arrays")
    assert [item.type for item in arrays.fields] == ["int[]", "int[][]", "int"]
    assert (arrays.methods[0].returns, arrays.methods[0].params) == ("int[][]", (("int[]", "x"),))
    generic = read("27_nested_generics")
    assert generic.types[0].type_params == ("A extends Comparable<? super A> & java.io.Serializable",)
    assert generic.fields[0].type == "java.util.Map<String, java.util.List<? extends A[]>>"
    assert len(read("42_deep_nesting").types) == 150
    homoglyph = read("45_homoglyph_ident")
    assert homoglyph.fields[0].name != homoglyph.fields[1].name
    assert look_alikes(homoglyph.data.decode()) == ["\u0422", "\u0430"]
    assert bidi_lines(read("46_bidi").data.decode()) == [1]


def test_modern_java_is_read() -> None:
    found = read_java(
        """
        package a . b;
        import java.util.*;
        import static java.lang.Math.abs;
        /// Markdown of *JEP 467*.
        /// Second line.
        public record Pair<A, B>(@NonNull A first, B... rest) implements Comparable<Pair<A, B>> {
          /** Checks. */
          public Pair { Objects.requireNonNull(first); }
          <T extends A & Runnable> List<? super T>[] f(final T[] @Deep [] x, int y[]) throws E, F.G { return null; }
          int sum(Object o) { return switch (o) { case Pair(var a, _) when a != null -> 1; case null, default -> 0; }; }
        }
        @interface Mark { int value() default 1; String[] names(); }
        """
    )
    assert not found.faults
    assert (found.package, found.imports) == ("a.b", 2)
    pair, mark = found.types
    assert (pair.kind, mark.kind) == ("record", "annotation_type")
    assert description_of(pair.doc or "") == "Markdown of *JEP 467*. Second line."
    assert pair.type_params == ("A", "B")
    assert pair.implements == ("Comparable<Pair<A, B>>",)
    assert [(item.name, item.type, item.annotations) for item in found.fields] == [
        ("first", "A", ("NonNull",)),
        ("rest", "B[]", ()),
    ]
    constructor, f, _, value, names = found.methods
    assert constructor.constructor
    assert constructor.params == (("A", "first"), ("B[]", "rest"))
    assert (f.returns, f.type_params, f.throws) == ("List<? super T>[]", ("T extends A & Runnable",), ("E", "F.G"))
    assert f.params[1] == ("int[]", "y")
    assert (value.returns, names.returns) == ("int", "String[]")
    assert value.body is None


def test_docs_of_enum_constants_and_of_several_variables() -> None:
    found = read_java("enum E { /** one */ @A A { void x() {} }, /* no */ B; /** both */ int i, j; /**/ int k; }")
    docs = {item.name: None if item.doc is None else description_of(item.doc) for item in found.fields}
    assert docs == {"A": "one", "B": None, "i": "both", "j": "both", "k": "/"}


def test_unicode_escapes_keep_the_text_as_written() -> None:
    text = 'class T { /** caf\\u00e9 \\ud83d\\ude00 */ String \\u0061 = "\\u0022"; void b() { int \\u00e4 = 1; } }'
    found = read_java(text)
    assert not found.faults
    assert [item.name for item in found.fields] == ["a"]
    assert description_of(found.fields[0].doc or "") == "café 😀"
    assert found.code(found.methods[0].span) == "void b() { int \\u00e4 = 1; }"
    assert found.code(found.types[0].span) == text


@given(st.lists(st.sampled_from(["\\u0041", "\\", "\\\\u0041", "é", "x", "\\uuu00e9", "\n", "\\ud83d"])))
def test_offsets_lead_back_to_the_text(parts: list[str]) -> None:
    data = "".join(parts).encode()
    made = translate_escapes(data)
    places = [made.original(offset) for offset in range(len(made.data) + 1)]
    assert places == sorted(places)
    assert places[-1] == len(data)
    assert resolve_rest("plain") == "plain"


def test_a_broken_file_keeps_its_sound_types() -> None:
    found = read_java(
        "package p;\nimport a.B;\n/** First. */\nclass A {\n  void m( {\n}\n\n/** Second. */\n@X\npublic class B {\n"
        "  int n() { return 1; }\n}\n"
    )
    assert [(item.path, item.doc, item.span.line) for item in found.types] == [("B", "/** Second. */", 9)]
    assert [item.path for item in found.methods] == ["B.n"]
    assert [(fault.name, fault.line) for fault in found.faults] == [("A", 5)]
    assert (found.package, found.imports) == ("p", 1)
    assert found.code(found.types[0].span).startswith("@X\npublic class B {")


@pytest.mark.parametrize(
    ("text", "types", "faults"),
    [
        ("class A {\n int y = 1 +;\n static class In { int q; }\n}\n", ["A.In"], 1),
        # Where braces do not balance nobody knows what encloses what.
        ("class A {\n void m() { \n static class In { int q; }\n}\n", [], 1),
        ("class A { void m() {\nclass B { int x; }\n", ["B"], 1),
        ("class A { }\n}\nclass B { int x; }\n", ["B"], 1),
        # Text that only looks like a type at the margin: in a comment, in a text block.
        ("/*\nclass X {}\n*/\nclass Z { int ; }\n", [], 1),
        ('class A {\n String s = """\nclass X {}\n""";\n int ; }\n', [], 1),
        ("<<<<<<< HEAD\nclass A {}\n=======\nclass B {}\n>>>>>>> x\n", [], 3),
        ("import module java.base;\nclass A {}\n", ["A"], 1),
    ],
)
def test_recovery(text: str, types: list[str], faults: int) -> None:
    found = read_java(text)
    assert [item.path for item in found.types] == types
    assert len(found.faults) == faults


@given(st.text(alphabet=st.sampled_from("class A{}();=+\"'/*\\@\n intu0041.<>[]é"), max_size=120))
def test_nothing_makes_the_extraction_fail(text: str) -> None:
    found = read_java(text)
    for item in (*found.types, *found.methods):
        assert item.span.line <= item.span.end_line
        assert found.code(item.span)


@given(st.integers(0, 200), st.sampled_from(["{", "}", '"', "/*", "\\u", "class ", ";", "\x00"]))
def test_damage_is_never_silent(place: int, damage: str) -> None:
    text = "class A {\n  int a() { return 1; }\n}\nclass B {\n  /** Doc. */\n  void b(int x) { a = x; }\n}\n"
    damaged = text[:place] + damage + text[place:]
    found = read_java(damaged)
    if {item.path for item in found.types} >= {"A", "B"}:
        return
    # What is missing is named, or the damage made one name of two.
    assert found.faults or damage in ("class ", '"', "/*")


def test_block_tags_and_margins() -> None:
    comment = "/**\n * Does {@code @x} it.\n *\n * @param a the\n *     first\n * @return {@code true} or not\n */"
    assert description_of(comment) == "Does {@code @x} it."
    assert block_tags(comment) == [("param", "a the first"), ("return", "{@code true} or not")]


def test_pieces_parse_by_themselves() -> None:
    assert parses(JAVA, "int f() { return 1; }")
    assert parses(JAVA, "T(int a) { this.a = a; }")
    assert parses(JAVA, "public class T { }")
    assert not parses(JAVA, "int f( { return 1; }")
    assert not parses(JAVA, " \n")
    assert not parses(JAVA, "int x = \ud800;")
    assert normal_bytes("\ufeffa\r\nb\rc\x1a") == b"a\nb\nc"


SCRAPS = [
    *("{", "}", "(", ";", '"', '"""', "'", "/*", "*/", "/**", "//", "<", ">", "@", "=>", "record", "class X {"),
    *("\\u", "\\u0041", "\n", "\r", "\t", "\x1a", "é", "\u202e", "😀", "é" * 40, "{" * 50),
]


def mutated(texts: list[str], chosen: random.Random) -> str:
    """Return one of the texts with one to four places cut out, doubled or written over."""
    text = chosen.choice(texts)
    for _ in range(chosen.randint(1, 4)):
        start = chosen.randrange(len(text) + 1)
        end = min(len(text), start + chosen.choice((0, 1, 5, 80)))
        scrap = chosen.choice((chosen.choice(SCRAPS), "", text[start:end] * 2))
        text = text[:start] + scrap + text[end:]
    return text


def fuzz(count: int) -> None:
    texts = [content.decode("utf-8", "replace") for content in sample_files().values()]
    chosen = random.Random(0)
    faulty = 0
    for _ in range(count):
        found = read_java(mutated(texts, chosen))
        lines = found.data.count(b"\n") + 1
        faulty += bool(found.faults)
        assert all(1 <= fault.line <= fault.end_line + 1 <= lines + 1 for fault in found.faults)
        for item in (*found.types, *found.methods):
            assert item.name
            assert 1 <= item.span.line <= item.span.end_line <= lines
            assert found.code(item.span).strip()
    assert 0.2 < faulty / count < 0.95


def test_damaged_files_are_read_or_named() -> None:
    fuzz(600)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_a_hundred_thousand_damaged_files_are_read_or_named() -> None:
    fuzz(100_000)
