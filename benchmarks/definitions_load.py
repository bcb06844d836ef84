"""Loading the definitions against a bare Dagster project with as many one-asset components (target: at most 1.2 times).

Both are loaded in fresh interpreters, alternately; the ratio is of the median CPU seconds of one run of this program.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
TARGET = 1.2
PROJECT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "peft", "trl", "sklearn", "pandas", "pandera", "dagster_gcp")

OURS = """
import sys
from finetune_assets.definitions import build_defs
repository = build_defs().get_repository_def()
print(len(repository.assets_defs_by_key), *[name for name in {heavy!r} if name in sys.modules])
"""
BARE = """
from pathlib import Path
import dagster as dg
tree = dg.load_from_defs_folder(path_within_project=Path({folder!r}))
print(len(tree.get_repository_def().assets_defs_by_key))
"""
COMPONENT = """
import dagster as dg

class OneAsset(dg.Component, dg.Model, dg.Resolvable):
    name: str

    def build_defs(self, context):
        @dg.asset(name=self.name)
        def one_asset() -> None: ...
        return dg.Definitions(assets=[one_asset])
"""


def make_bare_project(folder: Path, assets: int) -> Path:
    """Write a project whose every component makes one asset; return its package."""
    package = folder / "bare_project"
    (package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "bare_project"\n'
        'registry_modules = ["bare_project.one_asset"]\n'
    )
    for path in (package, package / "defs"):
        (path / "__init__.py").write_text("")
    (package / "one_asset.py").write_text(COMPONENT)
    for number in range(assets):
        place = package / "defs" / f"asset_{number}"
        place.mkdir()
        (place / "defs.yaml").write_text(
            f"type: bare_project.one_asset.OneAsset\nattributes:\n  name: asset_{number}\n"
        )
    return package


def cpu_seconds(code: str, folder: Path) -> tuple[float, str]:
    """Run code in a fresh interpreter; return its CPU seconds and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout.strip()


def main() -> int:
    """Print the table; return 1 when the target is missed."""
    ours_code = OURS.format(heavy=HEAVY)
    _, said = cpu_seconds(ours_code, PROJECT)
    assets, *heavy = said.split()
    with tempfile.TemporaryDirectory() as name:
        bare_code = BARE.format(folder=str(make_bare_project(Path(name), int(assets))))
        rounds = [(cpu_seconds(ours_code, PROJECT)[0], cpu_seconds(bare_code, Path(name))[0]) for _ in range(ROUNDS)]
    ours, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{'definitions':<40} {'CPU s (median of ' + str(ROUNDS) + ')':>24}")
    print(f"{'finetune_assets, ' + assets + ' assets with checks':<40} {ours:>24.2f}")
    print(f"{'bare project, ' + assets + ' one-asset components':<40} {bare:>24.2f}")
    print(f"ratio {ours / bare:.2f} (target {TARGET}); heavy packages loaded: {', '.join(heavy) or 'none'}")
    return 0 if ours <= TARGET * bare and not heavy else 1


if __name__ == "__main__":
    sys.exit(main())
