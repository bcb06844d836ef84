"""Languages by grammar: how the declarations of a language other than Java are found, as a tree-sitter query.

The captures of the query say what a node is: `@class`, `@interface`, `@enum`, `@record`, `@type_alias`, `@method`,
`@field` and, where documentation stands before a declaration, `@comment`. Java has an extractor of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.code.grammars import GRAMMAR_PATTERN

JAVA_GRAMMAR = "tree_sitter_java"

_PYTHON = """
(class_definition) @class
(function_definition) @method
(class_definition body: (block (expression_statement (assignment left: (identifier) type: (type)) @field)))
"""
_TYPESCRIPT = """
[(class_declaration) (abstract_class_declaration)] @class
(interface_declaration) @interface
(enum_declaration) @enum
(type_alias_declaration) @type_alias
[(function_declaration) (generator_function_declaration) (method_definition) (method_signature)
 (abstract_method_signature)] @method
(variable_declarator value: [(arrow_function) (function_expression)]) @method
[(public_field_definition) (property_signature)] @field
(comment) @comment
"""
KNOWN_QUERIES: Mapping[str, tuple[str, Literal["comment", "docstring"]]] = {
    "tree_sitter_python": (_PYTHON, "docstring"),
    "tree_sitter_typescript": (_TYPESCRIPT, "comment"),
}


class LanguageConfig(BaseModel):
    """One language: its grammar, and how declarations are found where the grammar is not a known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grammar: str = Field(
        pattern=GRAMMAR_PATTERN,
        description="The grammar's Python package, for instance tree_sitter_go; install it beside the platform.",
    )
    function: str = Field(
        default="language",
        pattern=r"^language[a-z_]*$",
        description="The function of the package that returns the grammar; tree_sitter_typescript has "
        "language_typescript and language_tsx.",
    )
    query: str = Field(
        default="",
        description="Tree-sitter query whose captures class, interface, enum, record, type_alias, method, field and "
        "comment name what is found; needed unless the grammar is that of Java, Python or TypeScript.",
    )
    documentation: Literal["comment", "docstring"] = Field(
        default="comment",
        description="Where documentation stands: in the comment before a declaration, or as the first text in its "
        "body; of the known grammars it is known.",
    )

    @model_validator(mode="after")
    def _has_a_query(self) -> Self:
        if not self.query and self.grammar != JAVA_GRAMMAR and self.grammar not in KNOWN_QUERIES:
            raise ValueError(f"grammar {self.grammar} needs a `query:` that says what its declarations are")
        return self

    def for_path(self, path: str) -> LanguageConfig:
        """Return the grammar for one file: TypeScript with JSX (`.tsx`) has one of its own in the same package."""
        if self.function == "language_typescript" and path.lower().endswith(".tsx"):
            return self.model_copy(update={"function": "language_tsx"})
        return self

    @property
    def is_java(self) -> bool:
        """True when Java's own extractor reads the language."""
        return self.grammar == JAVA_GRAMMAR and not self.query

    @property
    def rules(self) -> tuple[str, Literal["comment", "docstring"]]:
        """The query, and where documentation stands."""
        if self.query:
            return self.query, self.documentation
        return KNOWN_QUERIES[self.grammar]


DEFAULT_LANGUAGES: Mapping[str, LanguageConfig] = {
    "java": LanguageConfig(grammar=JAVA_GRAMMAR),
    "python": LanguageConfig(grammar="tree_sitter_python"),
    "typescript": LanguageConfig(grammar="tree_sitter_typescript", function="language_typescript"),
}
