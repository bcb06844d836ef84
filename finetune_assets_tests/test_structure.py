"""The house keeps its shape: floors, the three rules, and one code location for all who load it."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "finetune_assets"
FLOORS = [
    {"cli"},
    {"definitions"},
    {"component", "defs"},
    {"lineage"},
    {"resources"},
    {"serving", "training"},
    {"task_types"},
    {"datasets", "tuning", "releases", "feedback"},
    {"evaluation"},
    {"storage", "records"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MAY_IMPORT_DAGSTER = {"cli", "definitions", "component", "defs", "lineage", "resources"}
HEAVY = {
    *("torch", "transformers", "peft", "trl", "sklearn", "pandas", "pandera"),
    *("dagster_gcp", "google.cloud", "google.genai"),
}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Yield (room, path, syntax tree) of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield room, path, ast.parse(path.read_text(encoding="utf-8"))


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            yield from (
                (f"finetune_assets.{alias.name}" for alias in node.names) if module == "finetune_assets" else [module]
            )


def test_every_room_has_a_floor() -> None:
    unknown = {room for room, _, _ in modules()} - set(FLOOR_OF) - {"__init__"}
    assert not unknown


def test_imports_run_downwards_only() -> None:
    wrong = []
    for room, path, tree in modules():
        for name in imports_of(tree):
            parts = name.split(".")
            if (
                parts[0] != "finetune_assets"
                or len(parts) < 2
                or parts[1] in {room, "__version__"}
                or room == "__init__"
            ):
                continue
            if FLOOR_OF[parts[1]] <= FLOOR_OF[room]:
                wrong.append(f"{path.relative_to(PROJECT)} imports {name}")
    assert not wrong


def test_dagster_stays_above_the_lineage_floor() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)} imports {name}"
        for room, path, tree in modules()
        for name in imports_of(tree)
        if name.split(".")[0] == "dagster" and room not in MAY_IMPORT_DAGSTER
    ]
    assert not wrong


def test_modules_that_dagster_reads_keep_their_annotations() -> None:
    wrong = [
        str(path.relative_to(PROJECT))
        for room, path, tree in modules()
        if room in MAY_IMPORT_DAGSTER
        and any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.names[0].name == "annotations"
            for node in tree.body
        )
    ]
    assert not wrong


def loaded_modules(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after running `code`."""
    script = f"{code}\nimport sys; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    return set(done.stdout.split())


def test_definitions_load_nothing_heavy() -> None:
    loaded = loaded_modules("from finetune_assets.definitions import build_defs; build_defs().get_repository_def()")
    # An empty `google.cloud` namespace is made at the interpreter's start, before anything is imported.
    assert not HEAVY & (loaded - loaded_modules("")), "these belong into functions"
    assert not any(name.startswith(("google.cloud.", "google.genai.")) for name in loaded)


def test_workspace_and_pyproject_name_one_code_location() -> None:
    workspace = yaml.safe_load((PROJECT / "workspace.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    module = workspace["load_from"][0]["python_module"]
    assert module["module_name"] == project["code_location_target_module"]
    assert module["location_name"] == project["code_location_name"]


def test_the_postgres_instance_differs_in_its_storage_only() -> None:
    plain = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
    postgres = yaml.safe_load((PROJECT / "deploy" / "dagster.postgres.yaml").read_text(encoding="utf-8"))
    assert postgres.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert postgres == plain


@pytest.mark.parametrize("variable", ["environ", "getenv"])
def test_nothing_reads_the_environment_at_import(variable: str) -> None:
    wrong = []
    for _, path, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom):
                continue
            if any(isinstance(part, ast.Attribute) and part.attr == variable for part in ast.walk(node)):
                wrong.append(f"{path.relative_to(PROJECT)}:{node.lineno}")
    assert not wrong
