"""The page: verdict first, self-contained, readable by anybody, and no text can be anything but text in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.evaluation.report.page import PageRow, Timing, report_page, timing_of
from finetune_assets.evaluation.report.page.style import SCRIPT, STYLE
from finetune_assets_tests.evaluation.report.page.cases import TIMINGS, Seen, report_of, rows_of

REPORT = report_of()
ROWS = rows_of()
PAGE = report_page(REPORT, ROWS, TIMINGS, about="Names of tools.")


def test_the_first_sentence_says_what_was_compared_found_and_happens_now() -> None:
    sentence = (
        "On 100 test questions that were kept out of training, the newly tuned model had “exact label” in 81.0 % of "
        "them and the same model before tuning in 0.0 %: it is shown to be better and it passes all"
    )
    words = Seen(PAGE).words
    assert sentence in words
    assert words.index(sentence) < words.index("Gates: the rules")
    assert "so it may be released." in words


def test_a_report_that_fails_says_so_and_names_the_gates() -> None:
    words = Seen(report_page(report_of(5, 60), rows_of(5, 60), TIMINGS)).words
    assert "✘ FAIL" in words
    assert re.search(r"it fails \d of \d+ gates \(.*beats_baseline", words)
    assert "what is live stays live" in words


def test_of_many_failed_gates_the_sentence_names_the_first() -> None:
    report = json.loads(json.dumps(report_of(5, 60)))
    gates = report["verdict"]["gates"]
    report["verdict"]["gates"] = [gates[0] | {"name": f"floor:{n}", "verdict": "FAIL"} for n in range(40)]
    words = Seen(report_page(report, rows_of(5, 60), TIMINGS)).words
    assert "it fails 40 of 40 gates (floor:0, floor:1, floor:2, floor:3, floor:4 and 35 more, below)" in words


def test_what_happens_now_is_what_the_caller_knows() -> None:
    assert "so it waits for a person." in Seen(report_page(REPORT, ROWS, {}, what_now="it waits for a person")).words


def test_every_part_is_there_in_the_order_in_which_it_is_read() -> None:
    anchors = re.findall(r'<h2 id="([a-z-]+)"', PAGE)
    assert anchors == [
        *("effect", "gates", "scores", "slices", "confusion", "suites", "worst", "changes"),
        *("cost", "particulars", "glossary"),
    ]
    assert re.findall(r'<a href="#([a-z-]+)"', PAGE) == anchors


def test_equal_input_gives_equal_bytes_also_read_back_from_json() -> None:
    again = json.loads(json.dumps(REPORT, sort_keys=True))
    assert report_page(again, ROWS, TIMINGS, about="Names of tools.") == PAGE


def test_the_page_needs_nothing_from_anywhere() -> None:
    seen = Seen(PAGE)
    assert not {"link", "img", "iframe", "object", "form", "base"} & set(seen.tags)
    places = [value for _, name, value in seen.attributes if name in ("src", "href", "action", "style")]
    assert places
    assert all(value and value.startswith("#") for value in places)
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]


def test_the_policy_names_this_style_and_this_script_alone() -> None:
    policy = next(
        value
        for tag, name, value in Seen(PAGE).attributes
        if tag == "meta" and name == "content" and value and "default-src" in value
    )
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for content, kind in ((STYLE, "style"), (SCRIPT, "script")):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert f"<{kind}>{content}</{kind}>" in PAGE


def test_every_table_has_a_caption_and_headings_and_every_link_leads_somewhere() -> None:
    seen = Seen(PAGE)
    counts = Counter(seen.tags)
    assert counts["table"] == counts["caption"] == counts["thead"]
    assert counts["h1"] == counts["main"] == 1
    named = {value for _, name, value in seen.attributes if name == "id"}
    pointed = {value for _, name, value in seen.attributes if name in ("aria-labelledby",) and value}
    pointed |= {value[1:] for _, name, value in seen.attributes if name == "href" and value}
    assert pointed <= named
    assert len(named) == sum(name == "id" for _, name, _ in seen.attributes)


@pytest.mark.parametrize("scheme", ["", "dark"])
def test_text_stands_out_from_its_ground_in_both_schemes(scheme: str) -> None:
    """WCAG 2.1, 1.4.3: 4.5 to 1, over the plain, the soft and the marked ground."""
    part = STYLE.split("prefers-color-scheme:dark")[1] if scheme else STYLE
    colours = {name: _colour(value) for name, value in reversed(re.findall(r"--([a-z]+):(#[0-9a-f]+)", part))}
    for ground in ("ground", "soft"):
        for ink in ("text", "dim", "good", "bad", "open"):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert _contrast(colours["text"], colours["mark"]) >= 4.5


def _colour(value: str) -> tuple[int, ...]:
    digits = value[1:] if len(value) == 7 else "".join(2 * digit for digit in value[1:])
    return tuple(int(digits[at : at + 2], 16) for at in (0, 2, 4))


def _contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    def light(colour: tuple[int, ...]) -> float:
        parts = [part / 255 for part in colour]
        parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_trivial_method_that_does_better_stands_at_the_head() -> None:
    words = Seen(PAGE).words
    told = "Counting words (TF-IDF and logistic regression) does better than the new model"
    assert words.index(told) < words.index("Effect: how much")


def test_a_slice_that_fails_stands_at_the_head() -> None:
    words = Seen(PAGE).words
    told = "The new model fails on a part of the questions: unseen (5.0 % on 20 rows)."
    assert words.index(told) < words.index("Effect: how much")


def test_what_training_left_out_stands_at_the_head_with_the_context_length() -> None:
    report = report_of(notes=("12 training rows had their question cut to fit.",), context_length=512)
    words = Seen(report_page(report, ROWS, TIMINGS)).words
    assert words.index("12 training rows had their question cut") < words.index("Effect: how much")
    assert words.index("The model holds 512 tokens") < words.index("Effect: how much")


def test_a_slice_that_got_worse_while_the_whole_rose_is_named() -> None:
    report = report_of(81, 20)
    words = Seen(report_page(report, rows_of(81, 20), TIMINGS)).words
    assert "Lower than the baseline while the whole is higher: unseen ." in words


def test_worst_rows_stand_beside_the_right_answer_and_the_baselines() -> None:
    words = Seen(report_page(report_of(81, 20), rows_of(81, 20), TIMINGS)).words
    worst = words[words.index("Worst rows The 19 rows") :]
    assert "r0081 What is seen in 81? [" in worst
    assert "✘ wrong" in worst
    assert "✔ right" in worst


def test_changed_answers_are_limited_and_counted_and_the_broken_ones_come_first() -> None:
    rows = [replace(row, record=f"{row.record}-{turn}") for turn in range(3) for row in rows_of(81, 20)]
    words = Seen(report_page(report_of(81, 20), rows, TIMINGS)).words
    changes = words[words.index("Answers that changed") :]
    assert "Shown are 100 of 300, broken rows first. The complete list is in changes.jsonl" in changes
    assert changes.index("◀ broken") < changes.index("▶ fixed")


def test_without_texts_the_page_still_tells_the_records() -> None:
    words = Seen(report_page(REPORT, [], {})).words
    assert "The texts of these rows are not kept" in words
    assert "r0081" in words
    assert "No answer was timed: unknown." in words


def test_an_unknown_price_is_called_unknown() -> None:
    words = Seen(PAGE).words
    assert "price unknown unknown" in words
    assert "tokens read 5,000 unknown" in words


def test_timings_are_of_answers_that_were_given_and_a_partial_count_is_unknown() -> None:
    assert timing_of([], [], []) == Timing()
    found = timing_of([1.0, 2.0, 3.0], [10, 10, 10], [4, 0, 6])
    assert (found.median_s, found.read_tokens, found.written_tokens) == (2.0, 30, None)
    assert found.tokens_per_s == 3.0


def test_further_sections_show_their_markdown_and_mark_doubted_rows() -> None:
    sections = {
        "label_court": {
            "markdown": "### Is it the label?\n\n| row | ruling |\n| --- | --- |\n| r0081 | **likely** \\_wrong\\_ |",
            "suspects": [{"record_id": "r0081", "finding": "label_wrong_likely"}],
        },
        "of its own": {"figures": [1, 2]},
        "empty": {},
    }
    page = report_page(report_of(sections=sections), ROWS, TIMINGS)
    words = Seen(page).words
    assert "<td><strong>likely</strong> _wrong_</td>" in page
    assert "Is it the label?" not in words
    assert "⚑ the recorded answer is likely wrong" in words
    assert "Of its own The figures as they stand" in words


def test_a_forest_row_says_in_words_what_its_shape_says() -> None:
    rows = re.findall(r'<div class="row[^"]*" role="listitem">.*?</svg>.*?</div></div>', PAGE)
    assert len(rows) == 3 + 1 + 2
    for row in rows:
        word = re.search(r"(▶ shown better|◀ shown worse|○ no difference shown)", row)
        assert word, row
        assert ("<circle" in row) == word.group().startswith("○")


def test_many_slices_are_cut_to_the_ends_and_the_table_holds_all() -> None:
    report: dict[str, Any] = json.loads(json.dumps(REPORT))
    part = report["slices"][0]
    report["slices"] = [part | {"name": f"slice{number:03d}", "difference": number / 300} for number in range(120)]
    words = Seen(report_page(report, ROWS, TIMINGS)).words
    assert "Shown are the 40 that differ most of 120" in words
    assert "slice060" in words


EVIL = [
    "</td></tr></table><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<!-- -->",
    "</style></script><svg onload=alert(1)>",
    "&lt;b&gt; &amp; ]]> <?php",
    '{"a": "<b>", "</dd>": 1}',
    "`<b>` **<i>** [x](javascript:alert(1)) ![y](http://z) <http://w>\n| <u> | \n| --- |",
    "\0\x1b[31m\ud800\u202e",
]
# Html's own marks come more often than chance would have them.
TEXTS = st.one_of(
    st.sampled_from(EVIL), st.text(st.sampled_from("<>&\"'/=!-[]()`*_|\\# abx\n\0\ud800{}:,"), max_size=40), st.text()
)


def _shape(seen: Seen) -> tuple[Counter[str], set[tuple[str, str]]]:
    names = {"mark", "wbr", "div", "span"}  # how many of these there are depends on words, as it may
    counts = Counter(tag for tag in seen.tags if tag not in names)
    return counts, {(tag, name) for tag, name, _ in seen.attributes}


@settings(max_examples=60)
@given(
    row=st.fixed_dictionaries(
        {name: TEXTS for name in ("record", "question", "right", "candidate", "baseline", "candidate_problem")}
    ),
    name=TEXTS,
    slices=TEXTS,
    reason=TEXTS,
    about=TEXTS,
)
def test_no_text_breaks_out_of_the_page(row: dict[str, str], name: str, slices: str, reason: str, about: str) -> None:
    known = Seen(PAGE)
    report: dict[str, Any] = json.loads(json.dumps(REPORT))
    report["task"], report["provenance"], report["candidate"]["name"] = name or "t", reason, name
    report["slices"][0]["name"] = slices
    report["verdict"]["gates"][0] |= {"name": name, "reason": reason}
    report["measures"][0]["title"] = slices
    report["confusion"]["labels"][0] = report["confusion"]["columns"][0] = name
    report["worst_labels"][0] |= {"label": slices, "confused_with": name}
    report["worst_rows"][0]["record"] = name
    rows: list[PageRow] = [replace(item, **row) for item in ROWS]
    seen = Seen(report_page(report, rows, TIMINGS, about=about or "-"))
    assert not seen.mismatched
    assert not seen.open
    counts, attributes = _shape(seen)
    expected, allowed = _shape(known)
    assert counts == expected
    assert attributes <= allowed | {("mark", "title"), ("span", "class")}


@settings(max_examples=150)
@given(TEXTS)
def test_markdown_of_a_section_brings_no_tags_links_or_pictures_of_its_own(text: str) -> None:
    allowed = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "strong", "em"}
    allowed |= {"ul", "ol", "li", "blockquote", "code", "pre", "hr", "br", "div", "section", "details", "summary"}
    report = REPORT
    seen = Seen(report_page(report | {"sections": {"x": {"markdown": text}, text or "y": [text]}}, [], {}))
    bare = Seen(report_page(report, [], {}))
    new = Counter(seen.tags) - Counter(bare.tags)
    assert not set(new) - allowed - {"a", "span", "h2"}
    assert new["a"] <= 2  # the contents lead to the two sections
    assert not seen.mismatched
    assert not {name for _, name, _ in seen.attributes} & {"src", "onerror", "onload"}
