from __future__ import annotations

import pytest
from pydantic import ValidationError

from finetune_assets.datasets.code.extract import read_code
from finetune_assets.datasets.code.grammars import load_language, load_query
from finetune_assets.datasets.code.languages import DEFAULT_LANGUAGES, LanguageConfig
from finetune_assets.records.errors import FinetuneError

PYTHON = '''
import x

@dataclass(frozen=True)
class A(Base, metaclass=M):
    """Doc of A."""

    size: int = 0

    def __init__(self, a, *b, c: int = 3, **k):
        self.a = a

    @property
    async def p(self) -> list[int]:
        """Doc p."""
        def inner(): pass
        return 1

def top(a: int, b) -> str:
    f"no doc"
    return a

def broken(:
    pass

def fine(): return 2
'''
TYPESCRIPT = """
/** Doc of A. */
export abstract class A<T> extends B<T> implements C, D {
  private readonly x: number = 1;
  /** Makes. */
  constructor(private a: string, b?: number) { super(); }
  /** Says. */
  @Dec("x") static async m(x: T, ...r: string[]): Promise<void> { return; }
  #hidden() { function local() {} }
}
/** Arrow. */
export const f = (a: number): string => { return "" + a; };
interface I extends J { k: string; l(a: number): void }
enum E { A, B }
type U = string | number;
// plain
function g() { class Local {} }
"""


def test_python_classes_functions_and_docstrings() -> None:
    found = read_code("python", DEFAULT_LANGUAGES["python"], PYTHON)
    (kind,) = found.types
    assert (kind.path, kind.extends, kind.annotations, kind.doc) == ("A", "Base", ("dataclass",), "Doc of A.")
    assert found.code(kind.span).startswith("@dataclass")
    assert [(item.path, item.doc) for item in found.methods] == [
        ("A.<init>", None),
        ("A.p", "Doc p."),
        ("top", None),
        ("fine", None),
    ]
    init, p, top, _ = found.methods
    assert [name for _, name in init.params] == ["a", "b", "c", "k"]
    assert (p.returns, p.modifiers, p.annotations) == ("list[int]", ("async",), ("property",))
    assert top.params == (("int", "a"), ("", "b"))
    assert [(item.owner, item.name, item.type) for item in found.fields] == [("A", "size", "int")]
    assert [fault.line for fault in found.faults] == [23]


def test_typescript_classes_functions_and_jsdoc() -> None:
    found = read_code("typescript", DEFAULT_LANGUAGES["typescript"], TYPESCRIPT)
    assert not found.faults
    assert [(item.kind, item.name) for item in found.types] == [
        ("class", "A"),
        ("interface", "I"),
        ("enum", "E"),
        ("type_alias", "U"),
    ]
    a = found.types[0]
    assert (a.extends, a.implements, a.modifiers) == ("B<T>", ("C", "D"), ("export", "abstract"))
    methods = {item.path: item for item in found.methods}
    assert list(methods) == ["A.<init>", "A.m", "A.#hidden", "f", "I.l", "g"]
    assert methods["A.m"].doc == "/** Says. */"
    assert found.code(methods["A.m"].span).startswith('@Dec("x") static async m')
    assert methods["A.m"].annotations == ("Dec",)
    assert methods["A.<init>"].params == (("string", "a"), ("number", "b"))
    assert methods["f"].doc == "/** Arrow. */"
    assert found.code(methods["f"].span).startswith("export const f")
    assert methods["g"].doc is None
    assert [item.name for item in found.fields] == ["x", "k"]


def test_jsx_has_its_own_grammar() -> None:
    text = "export function View() { return <p>hello</p>; }"
    language = DEFAULT_LANGUAGES["typescript"]
    assert read_code("typescript", language, text).faults
    assert not read_code("typescript", language.for_path("View.tsx"), text).faults


def test_a_query_makes_any_grammar_usable() -> None:
    # Java through a query of one's own stands for a grammar that is not known here.
    language = LanguageConfig(
        grammar="tree_sitter_java",
        query="(class_declaration) @class (method_declaration) @method (block_comment) @comment",
    )
    found = read_code("other", language, "/** Doc. */ class A { int f(int x) { return x; } }")
    assert [(item.path, item.doc) for item in found.types] == [("A", "/** Doc. */")]
    assert [(item.path, item.params) for item in found.methods] == [("A.f", (("int", "x"),))]


def test_grammars_are_named_not_run() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        LanguageConfig(grammar="os")
    with pytest.raises(ValidationError, match="needs a `query:`"):
        LanguageConfig(grammar="tree_sitter_go")
    with pytest.raises(FinetuneError, match="pip install tree-sitter-nowhere"):
        load_language("tree_sitter_nowhere")
    with pytest.raises(FinetuneError, match="language_tsx"):
        load_language("tree_sitter_typescript")
    with pytest.raises(FinetuneError, match="starts with tree_sitter_"):
        load_language("os")
    with pytest.raises(FinetuneError, match="node types of this grammar"):
        load_query("tree_sitter_java", "language", "(no_such_node) @class")
