"""From a file's text to what it declares, whatever its language."""

from __future__ import annotations

from finetune_assets.datasets.code.generic import read_generic
from finetune_assets.datasets.code.grammars import parse
from finetune_assets.datasets.code.java import FUNCTION, GRAMMAR, declarations
from finetune_assets.datasets.code.languages import LanguageConfig
from finetune_assets.datasets.code.model import CodeFile, SyntaxFault
from finetune_assets.datasets.code.recovery import recover
from finetune_assets.datasets.code.source_text import normal_bytes, translate_escapes


def read_code(language: str, config: LanguageConfig, text: str) -> CodeFile:
    """Read a source file.

    Args:
        language: the language's name.
        config: its grammar.
        text: the file's text.

    Returns:
        What the file declares. Parts with a syntax error are left out and named in `faults`.

    Raises:
        UnicodeEncodeError: for half a UTF-16 pair in the text.
        FinetuneError: when the grammar cannot be used.
    """
    data = normal_bytes(text)
    if not config.is_java:
        return read_generic(language, config, data)
    source = translate_escapes(data)
    root = parse(GRAMMAR, FUNCTION, source.data)
    faults: list[SyntaxFault] = []
    if root.has_error:
        recovered = recover(source)
        found, faults = recovered.found, recovered.faults
    else:
        found = declarations(root, source)
    return CodeFile(
        language, data, found.package, found.imports, found.types, found.methods, found.fields, tuple(faults)
    )


def parses(config: LanguageConfig, text: str) -> bool:
    """True when a piece of code (a type, a method) parses without an error on its own.

    A method is no file in most languages; a Java constructor or an overload without a body is one only within a class.
    So code that does not parse by itself is tried again within one.
    """
    try:
        data = normal_bytes(text)
    except UnicodeEncodeError:
        return False
    if not data.strip():
        return False
    if not parse(config.grammar, config.function, data).has_error:
        return True
    if config.grammar == "tree_sitter_python":
        return False
    return not parse(config.grammar, config.function, b"class Wrapper {\n" + data + b"\n}").has_error
