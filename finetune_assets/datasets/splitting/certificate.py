"""The certificate of a split: by which method leaks were looked for, what was found, and how well the method finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from finetune_assets.datasets.splitting.assign import NOWHERE, SplitResult, SplitTable
from finetune_assets.datasets.splitting.config import NearDuplicateConfig, SplitConfig
from finetune_assets.datasets.splitting.leak_groups import components
from finetune_assets.datasets.splitting.leakage_near import Closest
from finetune_assets.datasets.splitting.leakage_official import OfficialLeaks
from finetune_assets.datasets.splitting.near_duplicates import LOWER
from finetune_assets.datasets.splitting.near_duplicates_recall import Recall
from finetune_assets.datasets.splitting.near_duplicates_sketch import SEED, banding_for
from finetune_assets.records.example import SPLITS

_TIES = "union-find over equal normalised content, declared groups"


def build_certificate(
    table: SplitTable,
    result: SplitResult,
    config: SplitConfig,
    *,
    near_pairs: int,
    closest: Closest,
    recall: Recall | None,
    official: OfficialLeaks | None,
) -> dict[str, Any]:
    """Return the certificate as JSON.

    Args:
        table: the items that were split, with all their ties.
        result: their splits.
        config: how they were split.
        near_pairs: pairs of near-duplicates found among all items.
        closest: the closest pair of the accepted items across splits.
        recall: what the search found of planted pairs; None where near-duplicates were not searched.
        official: leaks between official splits; None without official splits.
    """
    near = config.near_duplicates
    sizes = _sizes(table, result)
    rows = sum(sizes)
    counts = Counter(result.splits)
    searched = " and near-duplicates (MinHash, LSH, verified by Jaccard)" if near.enabled else ""
    return {
        "method": _TIES + (searched or "; near-duplicates are not searched"),
        "group_fields": config.group_fields,
        "seed": config.seed,
        "examples": rows,
        "splits": {name: counts[number] for number, name in enumerate(SPLITS)},
        "small_strata": asdict(result.small),
        "set_aside": dict(sorted(Counter(result.set_aside.values()).items())),
        "declared_groups": _declared(table, result),
        "components": len(sizes),
        "largest_component": max(sizes, default=0),
        "largest_component_share": round(max(sizes, default=0) / rows, 6) if rows else 0.0,
        "component_sizes": _histogram(sizes),
        "cross_split_key_overlap": table.keys.repeated(),
        "cross_split_group_overlap": _cut_nodes(table, result),
        "near_duplicates": _near(near, near_pairs, closest, recall) if near.enabled else {"searched": False},
        "official_splits": official.to_json(config.official) if official and config.official else None,
    }


def _sizes(table: SplitTable, result: SplitResult) -> list[int]:
    """Return how many accepted items each leak group has."""
    import numpy as np

    count = len(table.keys)
    roots = components(count, table.ties, without=result.set_aside).roots(count)
    accepted = np.frombuffer(bytes(result.splits), np.uint8) != NOWHERE
    found: list[int] = np.unique(roots[accepted], return_counts=True)[1].tolist()
    return found


def _declared(table: SplitTable, result: SplitResult) -> int:
    """Count the declared groups of accepted items. They are tied before near-duplicates, so their nodes come first."""
    seen = bytearray(table.ties.group_count)
    for item, node in table.ties:
        if node < len(seen) and result.splits[item] != NOWHERE:
            seen[node] = 1
    return sum(seen)


def _histogram(sizes: list[int]) -> dict[str, int]:
    """Return how many leak groups have 1 item, 2 to 3, 4 to 7 and so on."""
    counts = Counter(size.bit_length() for size in sizes)
    return {"1" if bits == 1 else f"{1 << (bits - 1)}-{(1 << bits) - 1}": counts[bits] for bits in sorted(counts)}


def _cut_nodes(table: SplitTable, result: SplitResult) -> int:
    """Count the declared groups and near-duplicate pairs that stand in more than one split."""
    seen = bytearray(table.ties.node_count)
    for item, node in table.ties:
        if result.splits[item] != NOWHERE:
            seen[node] |= 1 << result.splits[item]
    return sum(mask & (mask - 1) > 0 for mask in seen)


def _near(config: NearDuplicateConfig, pairs: int, closest: Closest, recall: Recall | None) -> dict[str, Any]:
    banding = banding_for(config.threshold)
    return {
        "searched": True,
        "threshold": config.threshold,
        "shingle_characters": config.shingle,
        "bands": banding.bands,
        "rows_in_a_band": banding.rows,
        "hash_seed": SEED,
        "chance_at_threshold": round(banding.chance(config.threshold), 6),
        "pairs": pairs,
        "largest_cross_split_similarity": None if closest.similarity is None else round(closest.similarity, 6),
        "compared_from": round(config.threshold - LOWER, 6),
        "chance_of_comparison": round(banding.chance(config.threshold - LOWER), 6),
        "recall": recall.to_json() if recall else {"planted": 0},
    }


def certificate_table(certificate: Mapping[str, Any]) -> str:
    """Return the certificate as a Markdown table for people."""
    lines = [("examples", ", ".join(f"{name} {certificate['splits'][name]:,}" for name in SPLITS))]
    lines.append(("set aside", _counted(certificate["set_aside"]) or "0"))
    small = certificate["small_strata"]
    if small["strata"]:
        bound = f"{small['strata']:,} of fewer than {small['fewer_than']:,} leak groups"
        lines.append(
            (
                "labels too rare to be divided by themselves, divided together",
                f"{bound}, {small['examples']:,} examples",
            )
        )
    lines.append(("leak groups", f"{certificate['components']:,}"))
    lines.append(
        (
            "largest leak group",
            f"{certificate['largest_component']:,} examples ({certificate['largest_component_share']:.1%})",
        )
    )
    overlaps = certificate["cross_split_key_overlap"], certificate["cross_split_group_overlap"]
    lines.append(("equal questions, groups in two splits", f"{overlaps[0]}, {overlaps[1]}"))
    lines.extend(_near_lines(certificate["near_duplicates"]))
    if official := certificate["official_splits"]:
        leaks = f"{official['keys']} questions, {official['groups']} groups, {official['near_pairs']} near-duplicates"
        lines.append((f"leaks between the official splits (use: {official['use']})", leaks))
    body = "".join(f"| {name} | {value} |\n" for name, value in lines)
    return f"{certificate['method']}\n\n| | |\n|---|---|\n{body}"


def _near_lines(near: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not near["searched"]:
        return [("near-duplicates", "not searched")]
    largest, recall = near["largest_cross_split_similarity"], near["recall"]
    measured = "no pair could be planted"
    if recall["planted"]:
        low, high = recall["interval_95"]
        measured = (
            f"{recall['recall']:.2%} of {recall['planted']} planted pairs (95 % interval {low:.1%} to {high:.1%})"
        )
    bound = f"{near['threshold']:g}"
    return [
        (f"near-duplicate pairs (similarity from {bound})", f"{near['pairs']:,}"),
        (
            "largest similarity across splits",
            f"{largest:.3f}" if largest is not None else f"no pair from {near['compared_from']:g} was found",
        ),
        ("recall of the search", measured),
    ]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
