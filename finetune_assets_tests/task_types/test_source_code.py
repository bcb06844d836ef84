from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.quarantine import REASONS, UNCOUNTED_REASONS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, RawRecord, Rejection, SourceRef
from finetune_assets.task_types import build_task_type, task_type_from_manifest
from finetune_assets.task_types.source_code import SourceCodeTask
from finetune_assets.task_types.source_code_config import STRATEGIES

LEDGER = """/*
 * Licensed under the Apache License, Version 2.0 (the "License")
 */
package shop.books;

import java.util.*;

/**
 * Keeps the {@code open} sums of a shop.
 *
 * @author Bob
 */
public final class Ledger extends Book<String> implements Closeable, Iterable<Entry> {
  private final Map<String, List<Integer>> open = new TreeMap<>();
  int a, b, c, d, e, f;

  public Map<String, List<Integer>> getOpen() {
    return open;
  }

  public void setA(int a) { this.a = a; }

  /**
   * Pays money back to somebody who brought something back.
   *
   * @param who the customer
   * @param cents how much, above zero
   * @return what is still open
   * @throws IllegalStateException when nobody knows the customer
   */
  public int issueRefund(String who, int... cents) throws IllegalStateException {
    List<Integer> sums = open.getOrDefault(who, List.of());
    return sums.stream().mapToInt(Integer::intValue).sum() - Arrays.stream(cents).sum();
  }

  public List<String> settle(String who, int first, int second, int third, int fourth, int fifth) {
    try { open.remove(who); } catch (RuntimeException ignored) { }
    return new ArrayList<>(open.keySet());
  }

  private void isolate() {
    Runnable task = new Runnable() {
      /** Never a piece of its own. */
      @Override public void run() { System.out.println("this is long enough to count as a body of a method"); }
    };
    class Local { void inner() { System.out.println("this is long enough to count as a body of a method"); } }
    task.run();
  }

  /** A sum that somebody owes. */
  record Entry(String who, int cents) {
    Entry { if (cents < 0) { throw new IllegalArgumentException("less than nothing: " + cents); } }
  }
}
"""


def make_task(**config: Any) -> SourceCodeTask:
    task = build_task_type("source_code", config, Path())
    assert isinstance(task, SourceCodeTask)
    return task


def record_of(text: Any, path: str = "shop/books/Ledger.java", language: Any = "java") -> RawRecord:
    return RawRecord({"path": path, "language": language, "text": text}, SourceRef(path, offset=0))


def split_items(items: list[Example | Rejection]) -> tuple[list[Example], list[Rejection]]:
    return (
        [item for item in items if isinstance(item, Example)],
        [item for item in items if isinstance(item, Rejection)],
    )


def examples_of(text: str = LEDGER, **config: Any) -> tuple[dict[str, Example], Counter[str]]:
    examples, rejections = split_items(make_task(**config).examples(record_of(text)))
    assert {item.reason for item in rejections} <= set(REASONS)
    found = {f"{item.facts['unit']}/{item.label_path[0]}": item for item in examples}
    assert len(found) == len(examples)
    return found, Counter(item.reason for item in rejections)


def test_a_file_becomes_examples_of_every_strategy() -> None:
    found, reasons = examples_of()
    assert sorted(found) == [
        "Ledger.Entry/explanation",
        "Ledger.Entry/generation",
        "Ledger.Entry/template",
        "Ledger.issueRefund/explanation",
        "Ledger.issueRefund/generation",
        "Ledger.settle/review",
        "Ledger/explanation",
        "Ledger/generation",
        "Ledger/review",
        "Ledger/template",
    ]
    # Told by the body: a getter and a setter are left out, issueRefund, settle and isolate are not.
    assert reasons["accessor"] == 2
    assert set(reasons) <= UNCOUNTED_REASONS


def test_answers_come_from_the_code_and_its_documentation() -> None:
    found, _ = examples_of()
    assert found["Ledger.issueRefund/explanation"].target == (
        "Pays money back to somebody who brought something back.\n\n"
        "Parameters:\n- `who`: the customer\n- `cents`: how much, above zero\n\n"
        "Returns: what is still open\n\n"
        "Throws:\n- `IllegalStateException`: when nobody knows the customer"
    )
    assert found["Ledger/explanation"].target == (
        "Keeps the `open` sums of a shop.\n\n"
        "`Ledger` is a public final class that extends `Book<String>` and implements `Closeable`, `Iterable<Entry>`."
        "\n\n"
        "Methods:\n- `issueRefund(who, cents)`: Pays money back to somebody who brought something back."
    )
    assert "Components: `String who`, `int cents`." in found["Ledger.Entry/explanation"].target
    # The answer does not stand in the question, nor a licence or an author in either.
    asked = found["Ledger.issueRefund/explanation"].messages[-1]["content"]
    assert "Pays money" not in asked
    assert "public int issueRefund(String who, int... cents) throws" in asked
    for item in found.values():
        assert "License" not in json.dumps(item.messages) + item.target
        assert "Bob" not in item.target
        assert item.facts["licence"] == "Apache-2.0"


def test_generation_asks_by_description_and_signature() -> None:
    item = examples_of()[0]["Ledger.issueRefund/generation"]
    asked = item.messages[-1]["content"]
    assert "Pays money back" in asked
    assert "- `cents`: how much, above zero" in asked
    assert "public int issueRefund(String who, int... cents) throws IllegalStateException  // in Ledger" in asked
    assert "mapToInt" not in asked
    assert item.target.startswith("```java\npublic int issueRefund(")
    assert "mapToInt" in item.target


def test_reviews_are_measured() -> None:
    found, reasons = examples_of()
    assert found["Ledger.settle/review"].target == (
        "- many parameters: `settle` takes 6, more than 5\n- empty catch: 1 catch block without a statement"
    )
    assert found["Ledger/review"].target == (
        "- many fields: `Ledger` has 7, more than 5\n"
        "- many parameters: `settle` takes 6, more than 5\n"
        "- empty catch: 1 catch block without a statement"
    )
    assert found["Ledger/review"].facts["findings"] == ["empty catch", "many fields", "many parameters"]
    assert "/**\n * Keeps the {@code open} sums" in found["Ledger/review"].messages[-1]["content"]
    assert reasons["no_finding"] > 0
    strict, _ = examples_of(
        strategies=["review"], review={"max_undocumented": 0, "max_methods": 2, "max_method_lines": 3}
    )
    text = strict["Ledger/review"].target
    assert "- many methods: `Ledger` declares 5, more than 2" in text
    assert "- undocumented: 3 public methods, more than 0: `getOpen`, `setA`, `settle`" in text
    assert "- long method: `issueRefund` has 4 lines, more than 3" in text


def test_templates_say_the_structure() -> None:
    item = examples_of()[0]["Ledger/template"]
    made = json.loads(item.target)
    assert {name: made[name] for name in ("name", "kind", "modifiers", "extends", "implements")} == {
        "name": "Ledger",
        "kind": "class",
        "modifiers": ["public", "final"],
        "extends": "Book<String>",
        "implements": ["Closeable", "Iterable<Entry>"],
    }
    assert made["fields"][0] == {
        "name": "open",
        "type": "Map<String, List<Integer>>",
        "modifiers": ["private", "final"],
    }
    refund = next(method for method in made["methods"] if method["name"] == "issueRefund")
    assert refund["params"] == ["String who", "int... cents"]
    assert refund["throws"] == ["IllegalStateException"]
    # What an anonymous class, a local or an inner type declares is not the type's own.
    assert [method["name"] for method in made["methods"]] == ["getOpen", "setA", "issueRefund", "settle", "isolate"]


def test_all_examples_of_a_file_stay_together() -> None:
    found, _ = examples_of()
    for item in found.values():
        assert {"file=shop/books/Ledger.java", "class=shop.books.Ledger"} <= set(item.groups)
        assert sum(group.startswith("code=") for group in item.groups) == 1
        assert item.source.line is not None
        assert LEDGER.split("\n")[item.source.line - 1].strip()
    keys = [item.content_key for item in found.values()]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 for key in keys)
    # The same class in another file, and equal code anywhere, are tied as well.
    moved, _ = split_items(make_task().examples(record_of(LEDGER, path="copy/Ledger.java")))
    assert all("class=shop.books.Ledger" in item.groups for item in moved)
    assert {item.content_key for item in moved} == set(keys)


def test_spelling_makes_no_other_question() -> None:
    spread = LEDGER.replace("    return sums", "\n\n      return sums")
    first, second = examples_of()[0], examples_of(spread)[0]
    name = "Ledger.issueRefund/explanation"
    assert first[name].content_key == second[name].content_key
    assert first[name].content_key != first["Ledger.issueRefund/generation"].content_key


@pytest.mark.parametrize(
    ("config", "reason", "unit"),
    [
        ({"include_private": False}, "private_code", "Ledger.isolate"),
        ({"require_docstring": True}, "no_documentation", "Ledger.settle"),
        ({"min_code_length": 300}, "code_too_short", "Ledger.Entry"),
        ({"max_code_length": 500}, "code_too_long", "Ledger"),
        ({"min_body_length": 120}, "code_too_short", "Ledger.settle"),
        ({"min_documentation": 40}, "no_documentation", "Ledger.Entry"),
        ({"licences": ["MIT", "none"]}, "licence_excluded", ""),
    ],
)
def test_filters_go_by_name_and_are_counted(config: dict[str, Any], reason: str, unit: str) -> None:
    _, rejections = split_items(make_task(**config).examples(record_of(LEDGER)))
    assert any(item.reason == reason and item.record_id.endswith(unit) for item in rejections)
    assert reason in UNCOUNTED_REASONS


def test_accessors_and_units_can_be_chosen() -> None:
    found, reasons = examples_of(strategies=["generation"], include_accessors=True, units=["method"])
    assert "accessor" not in reasons
    assert sorted(found) == ["Ledger.issueRefund/generation"]
    types, _ = examples_of(units=["type"], strategies=["template"])
    assert sorted(types) == ["Ledger.Entry/template", "Ledger/template"]


def test_secrets_and_deceiving_characters_never_reach_a_row() -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    text = (
        "class A {\n"
        "  /** Opens the door with a key. */\n"
        f'  String open() {{ String k = "{key}"; return k.trim(); }}\n'
        "  /** Turns the sign around quickly. */\n"
        "  int turn(int x) { /*\u202e*/ return Math.abs(x) * 100 + x; }\n"
        "  /** Names what nobody can tell. */\n"
        "  int name(int \u0430) { return Math.abs(\u0430) * 100 + \u0430; }\n"
        "  /** Writes to bob@example.com about it. */\n"
        "  int write(int x) { return Math.abs(x) * 100 + x; }\n"
        "}\n"
    )
    examples, rejections = split_items(make_task(min_body_length=0, min_code_length=0).examples(record_of(text)))
    assert {
        item.record_id.split("#")[1]: item.reason for item in rejections if item.reason not in UNCOUNTED_REASONS
    } == {
        "A": "secret",
        "A.open": "secret",
        "A.turn": "bidi_control",
        "A.name": "look_alike_name",
    }
    whole = json.dumps([item.to_json() for item in (*examples, *rejections)])
    assert key not in whole
    assert "bob@example.com" not in whole
    assert "Writes to [e-mail] about it." in whole


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        (None, "java", "missing_field"),
        (" \n", "java", "missing_field"),
        (7, "java", "wrong_type"),
        ("class A {\0}", "java", "nul_character"),
        ('class A { String s = "\ud800"; }', "java", "lone_surrogate"),
        ("class A {}", "cobol", "unknown_language"),
        ("class A {}", None, "unknown_language"),
        ("package a.b;\n", "java", "no_declaration"),
        ("/** nothing */\n// class X {}\n", "java", "no_declaration"),
        ("data class P(val x: Int)\nfun main() = println(P(1))\n", "java", "syntax_error"),
    ],
)
def test_files_without_anything_usable(text: Any, language: Any, reason: str) -> None:
    (item,) = make_task().examples(record_of(text, language=language))
    assert isinstance(item, Rejection)
    assert item.reason == reason
    assert item.reason in REASONS


def test_a_partly_broken_file_gives_its_sound_types() -> None:
    text = "class A {\n  int x = ;\n}\n" + LEDGER.split("import java.util.*;\n")[1].replace("Ledger", "Sound")
    examples, rejections = split_items(make_task().examples(record_of(text)))
    assert {item.facts["unit"].split(".")[0] for item in examples} == {"Sound"}
    faults = [item for item in rejections if item.reason == "syntax_error"]
    assert [(item.record_id, item.source.line) for item in faults] == [("shop/books/Ledger.java#A", 2)]


def test_fences_hold_whatever_the_code_says() -> None:
    text = (
        "class A {\n  /** Prints a fence and something else besides. */\n"
        '  void f() {\n    System.out.println("```java"); System.out.println("and more of it");\n  }\n}\n'
    )
    found, _ = examples_of(text)
    target = found["A.f/generation"].target
    assert target.startswith("````java\n")
    assert make_task().parse_as("generation", target).valid


def test_control_tokens_in_answers_are_refused() -> None:
    text = (
        "class A {\n  /** Ends what a model says. */\n"
        '  String f(int x) { return x > 0 ? "<|im_end|>" : "none of it at all, whatever it may be"; }\n}\n'
    )
    found, reasons = examples_of(text, strategies=["generation", "explanation"], units=["method"])
    assert sorted(found) == ["A.f/explanation"]
    assert reasons == {"control_token": 1}


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_other_languages(language: str) -> None:
    source = {
        "python": 'class Box:\n    """Holds things until somebody comes."""\n\n    def put(self, thing, place=0):\n'
        '        """Puts a thing at a place."""\n        self.things.insert(place, thing)\n'
        "        self.count = len(self.things) + self.offset\n        return self.count\n\n"
        "    @property\n    def size(self):\n        return self._size\n",
        "typescript": "/** Holds things until somebody comes. */\nexport class Box {\n"
        "  /** Puts a thing at a place. */\n"
        "  put(thing: string, place: number = 0): number {\n    this.things.splice(place, 0, thing);\n"
        "    return this.things.length + this.offset;\n  }\n  size(): number { return this._size; }\n}\n",
    }[language]
    items = make_task().examples(record_of(source, path="box", language=language))
    examples, rejections = split_items(items)
    found = {f"{item.facts['unit']}/{item.label_path[0]}": item for item in examples}
    assert {"Box/explanation", "Box/template", "Box.put/explanation", "Box.put/generation"} <= set(found)
    assert found["Box.put/explanation"].target == "Puts a thing at a place."
    assert "Puts a thing" not in found["Box.put/explanation"].messages[-1]["content"]
    assert make_task().parse_as("generation", found["Box.put/generation"].target).valid
    assert Counter(item.reason for item in rejections)["accessor"] == 1


def test_wordings_are_chosen_by_hash_and_seed() -> None:
    def questions(seed: int) -> list[str]:
        found, _ = examples_of(seed=seed)
        return [item.messages[-1]["content"].split("\n")[0] for item in found.values()]

    assert questions(0) == questions(0)
    assert len(set(questions(0))) > 3
    assert questions(0) != questions(1)
    own, _ = examples_of(wordings={"template": ["As JSON, this {language}:"]}, strategies=["template"])
    assert own["Ledger/template"].messages[-1]["content"].startswith("As JSON, this Java:\n\n```java\n")


def test_live_questions_are_those_of_training() -> None:
    task = make_task()
    found, _ = examples_of()
    item = found["Ledger.Entry/explanation"]
    code = item.messages[-1]["content"].split("```java\n")[1].removesuffix("\n```")
    assert task.input_messages({"code": code, "strategy": "explanation"}) == list(item.messages)
    assert task.input_messages({"text": code, "language": "java"}) == list(item.messages)
    item = found["Ledger.issueRefund/generation"]
    _, _, rest = item.messages[-1]["content"].partition("\n\n")
    description, _, head = rest.partition("\n\nSignature:\n```\n")
    fields = {"strategy": "generation", "description": description, "signature": head.removesuffix("\n```")}
    assert task.input_messages(fields) == list(item.messages)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "field text.*found nothing"),
        ({"code": " "}, "field text.*blank"),
        ({"code": 1.5}, "field text.*float"),
        ({"code": "int x;", "strategy": "sing"}, "field strategy.*expected explanation"),
        ({"code": "int x;", "language": "cobol"}, "field language.*expected java"),
        ({"code": "x", "description": "y", "strategy": "generation", "signature": 1.5}, "field signature"),
    ],
)
def test_live_questions_that_cannot_be_asked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FinetuneError, match=message):
        make_task().input_messages(fields)


def test_answers_are_read_by_strategy() -> None:
    task = make_task()
    assert task.choices() is None
    assert (
        task.parse_as("generation", "Here:\n```java\nint f() { return 1; }\n```").value["code"]
        == "int f() { return 1; }"
    )
    assert task.parse_as("generation", "int f() { return 1; }").valid
    assert task.parse_as("generation", "I cannot write that.").problem == "syntax_error"
    assert task.parse_as("explanation", " It adds. ").value["answer"] == "It adds."
    assert task.parse_as("explanation", " \n").problem == "blank"
    assert (
        task.parse_as("template", '{"name":"A","kind":"class","fields":[],"methods":[]}').value["template"]["name"]
        == "A"
    )
    assert task.parse_as("template", '{"name":"A"}').problem == "missing_key"
    assert task.parse_as("template", "class A").problem == "not_json"
    assert task.parse('{"name":"A","kind":"class","fields":[],"methods":[]}').value["strategy"] == "template"
    assert task.parse("It adds.").value["strategy"] == "explanation"
    assert make_task(strategies=["generation"]).parse("It adds.").problem == "syntax_error"


@given(st.text(max_size=80))
def test_any_answer_is_read(text: str) -> None:
    for strategy in STRATEGIES:
        make_task().parse_as(strategy, text)
    assert make_task().parse(text).valid == bool(text.strip())


@given(st.text(max_size=200), st.sampled_from(["java", "python", "typescript"]))
def test_no_file_makes_it_fail(text: str, language: str) -> None:
    items = make_task().examples(record_of(text, language=language))
    assert items
    for item in items:
        if isinstance(item, Rejection):
            assert item.reason in REASONS


def test_every_target_reads_back() -> None:
    task = make_task()
    for item in examples_of()[0].values():
        strategy = item.label_path[0]
        assert task.parse_as(strategy, item.target).valid
        assert Example.from_json(json.loads(json.dumps(item.to_json()))) == item


def test_manifests_carry_the_task() -> None:
    task = make_task(strategies=["explanation"], seed=3, languages={"java": {"grammar": "tree_sitter_java"}})
    manifest = json.loads(json.dumps(task.manifest()))
    again = task_type_from_manifest(manifest)
    assert again.prompt_manifest() == task.prompt_manifest()
    assert again.manifest() == task.manifest()
    fields = {"code": "class A {}"}
    assert again.input_messages(fields) == task.input_messages(fields)
    assert make_task(seed=4).prompt_manifest() != make_task(seed=3).prompt_manifest()
    with pytest.raises(FinetuneError, match="expected schema source_code/1"):
        task_type_from_manifest({**manifest, "schema": "source_code/0"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"strategies": []}, "strategies"),
        ({"strategies": ["review", "review"]}, "each thing once"),
        ({"wordings": {"review": []}}, "wordings of review are empty"),
        ({"min_code_length": 9, "max_code_length": 8}, "above max_code_length"),
        ({"languages": {"go": {"grammar": "tree_sitter_go"}}}, "needs a `query:`"),
        ({"languages": {"x": {"grammar": "tree_sitter_nowhere", "query": "(a) @class"}}}, "pip install"),
        ({"aliases": {"codes": ["x"]}}, "unknown name"),
        ({"prompt": {"user": "{question}"}}, r"placeholder \{text\}"),
    ],
)
def test_mistakes_in_the_yaml_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(FinetuneError, match=message):
        make_task(**config)


def test_real_files_give_sound_examples(real_data: Path) -> None:
    folder = real_data / "java" / "src"
    task = make_task()
    examples: list[Example] = []
    reasons: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.java")):
        name = path.relative_to(folder).as_posix()
        found, rejections = split_items(task.examples(record_of(path.read_text(), path=name)))
        examples += found
        reasons.update(item.reason for item in rejections)
    assert set(reasons) <= UNCOUNTED_REASONS, "every one of these files parses, and none holds a secret"
    by_strategy = Counter(item.label_path[0] for item in examples)
    assert by_strategy == {"explanation": 1042, "generation": 1042, "template": 408, "review": 119}
    assert len({item.record_id for item in examples}) == len(examples)
    # No boilerplate: hardly an answer is given twice, unlike the sentence that stood in every second one of source 004.
    explained = Counter(item.target for item in examples if item.label_path[0] == "explanation")
    assert explained.most_common(1)[0][1] <= 0.01 * explained.total()
    assert all(task.parse_as(item.label_path[0], item.target).valid for item in examples)
