"""One precedence for every value: `--set` over environment over defs.yaml over defaults.

Here belongs how the layers are merged and where each value came from. Secrets are no settings: they are read from the
environment where they are used, and never pass through here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from finetune_assets.lineage.task_config import TaskConfig, TaskSpec
from finetune_assets.records.errors import FinetuneError

PREFIX = "FINETUNE_"
SEPARATOR = "__"


@dataclass(frozen=True)
class Settings:
    """A task's effective configuration.

    Attributes:
        config: the validated configuration.
        origins: dotted path of each value that is no default → `--set`, `environment NAME` or `defs.yaml`.
    """

    config: TaskConfig
    origins: dict[str, str]

    def rows(self) -> list[tuple[str, Any, str]]:
        """Return every value as (path, value, origin), in the order of the model."""
        return [
            (path, value, _origin_of(path, self.origins))
            for path, value in flatten(self.config.model_dump(mode="json"))
        ]


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of a nested mapping as (dotted path, value); lists are leaves."""
    leaves: list[tuple[str, Any]] = []
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            leaves.extend(flatten(value, f"{path}."))
        else:
            leaves.append((path, value))
    return leaves


def environment_values(task: str, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return dotted path → (text, variable) of the variables that configure this task.

    `FINETUNE_TUNING__EPOCHS` speaks to every task, `FINETUNE_CHILDCARE__TUNING__EPOCHS` to one, and the one wins.
    """
    sections = set(TaskConfig.model_fields)
    general: dict[str, tuple[str, str]] = {}
    own: dict[str, tuple[str, str]] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or SEPARATOR not in name:
            continue
        parts = name.removeprefix(PREFIX).lower().split(SEPARATOR)
        if parts[0] == task:
            own[".".join(parts[1:])] = (text, name)
        elif parts[0] in sections:
            general[".".join(parts)] = (text, name)
    return {**general, **own}


def resolve(spec: TaskSpec, overrides: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Merge the layers and validate the whole.

    Args:
        spec: the task as defs.yaml says it.
        overrides: dotted path → text, read as YAML.
        environ: the process environment.

    Returns:
        The effective settings.

    Raises:
        FinetuneError: for a path that does not exist or a value that does not fit; it names the path and its origin.
    """
    tree: dict[str, Any] = spec.config.model_dump(mode="json", exclude_unset=True)
    origins = {path: "defs.yaml" for path, _ in flatten(tree)}
    layers = [
        (path, text, f"environment {name}") for path, (text, name) in environment_values(spec.name, environ).items()
    ]
    layers += [(path, text, "--set") for path, text in overrides.items()]
    for path, text, origin in layers:
        _put(tree, path, _read_value(path, text, origin), origin)
        origins[path] = origin
    try:
        config = TaskConfig.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, origins, spec.name) from None
    return Settings(config=config, origins=origins)


def _read_value(path: str, text: str, origin: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise FinetuneError(
            "value is not readable as YAML", where=f"{path} ({origin})", found=text, mend="quote the value"
        ) from None


def _put(tree: dict[str, Any], path: str, value: Any, origin: str) -> None:
    *parents, last = path.split(".")
    node = tree
    for name in parents:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise FinetuneError(
                "setting has no parts", where=f"{path} ({origin})", found=repr(child), mend=f"set {name} as a whole"
            )
        node = child
    node[last] = value


def _explain(error: ValidationError, origins: Mapping[str, str], task: str) -> FinetuneError:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    unknown = first["type"] == "extra_forbidden"
    return FinetuneError(
        "setting does not exist" if unknown else "setting does not fit",
        where=f"{task}: {path} ({_origin_of(path, origins)})",
        found=repr(first.get("input")),
        expected="a setting named by `finetune config`" if unknown else first["msg"],
        mend=f"see `finetune config {task}` for every setting and its value",
    )


def _origin_of(path: str, origins: Mapping[str, str]) -> str:
    # A value may have been set as part of a larger one ("dataset.slices" as a whole), so the nearest parent speaks.
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        origin = origins.get(".".join(parts[:end]))
        if origin:
            return origin
    return "default"
