"""Estimating what a job costs before it is submitted: characters, tokens, epochs, hours and prices.

    estimate(config, cloud, volume, prices, *, evaluation=None, learned=None, parameters_b=None) -> CostEstimate
    evaluation_cost(config, cloud, volume, prices, *, batch) -> CostPart     BudgetError for an unknown price
    serving_day_cost(config, cloud, prices) -> CostPart                      BudgetError for an unknown price
    billed_cost(config, cloud, tokens, prices) -> float                      dollars for tokens that were billed

Billing rule (Google's pricing page, 2026): training tokens = tokens of the training rows x epochs; for preferences
2 x question + both answers. Validation rows are not billed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from finetune_assets.tuning.cloud.catalogue import ModelEntry, find_model, lookup
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.cloud.cost import CostEstimate, CostPart, LearnedRatio, Range, Volume
from finetune_assets.tuning.cloud.errors import BudgetError
from finetune_assets.tuning.cloud.machine_hours import hourly_price, training_hours
from finetune_assets.tuning.cloud.prices import Prices
from finetune_assets.tuning.config import TuningConfig

MILLION = 1_000_000
SPREAD = 0.25
# Answers of a teacher that thinks before it answers, in tokens.
_TEACHER_ANSWER = Range(500.0, 1500.0, 4000.0)
# Hours of a batch prediction on a machine of one's own, most of which is starting.
_BATCH_HOURS = Range(0.3, 0.6, 1.5)


def estimate(
    config: TuningConfig,
    cloud: CloudConfig,
    volume: Volume,
    prices: Prices,
    *,
    evaluation: Volume | None = None,
    learned: LearnedRatio | None = None,
    parameters_b: float | None = None,
) -> CostEstimate:
    """Return what a variant's job may cost.

    Args:
        config: the variant's settings; see `resolved`.
        cloud: where it runs.
        volume: the training file.
        prices: the price list in force.
        evaluation: the rows that the candidate is judged on, None to leave that out.
        learned: what earlier jobs were billed; takes the place of the catalogue's ratio.
        parameters_b: for a custom job, the base's parameters in thousand millions; None looks in the catalogue.

    Raises:
        BudgetError: when a price that the job itself needs is not known or too old, or nothing is known to estimate by.
        ModelDeniedError: for a model that is not in the catalogue.
    """
    if config.backend == "custom_job":
        parts, told, dates = _custom_job(config, cloud, volume, prices, parameters_b)
        about = (config.base_model, config.job_settings.machine_type, 0)
    else:
        parts, told, dates = _managed(config, cloud, volume, prices, learned)
        mode = config.managed_settings.mode
        about = (find_model(config.base_model).id, mode, round(_billed_characters(config, volume)))
    return CostEstimate(
        parts=tuple(parts),
        apart=tuple(_apart(config, cloud, evaluation, prices)),
        assumptions=tuple(told),
        as_of=min(dates),
        model=about[0],
        mode=about[1],
        characters=about[2],
    )


def evaluation_cost(
    config: TuningConfig, cloud: CloudConfig, volume: Volume, prices: Prices, *, batch: bool
) -> CostPart:
    """Return what judging a candidate costs once.

    Args:
        config: the variant's settings.
        cloud: where it runs.
        volume: the rows that are asked; their answers' length is taken for the model's.
        prices: the price list.
        batch: by batch prediction, else online.

    Raises:
        BudgetError: when a price is not known or too old.
    """
    name = f"evaluation ({'batch' if batch else 'online'})"
    entry = find_model(config.base_model) if config.backend == "gemini" else None
    if entry is None:
        machine = cloud.endpoint.machine_type
        price = prices.of("serving_machine", machine, cloud.serves_in)
        return CostPart(name, _BATCH_HOURS.times(float(price.price)), f"0.3–1.5 h of {machine}")
    ratio = _ratio(entry, config, None)
    asked = prices.of("input_tokens", entry.id, cloud.serves_in)
    answered = prices.of("output_tokens", entry.id, cloud.serves_in)
    share = float(prices.of("batch_share", "gemini", cloud.serves_in).price) if batch else 1.0
    usd = ratio.times(share * volume.prompt_characters * float(asked.price) / MILLION).plus(
        ratio.times(share * volume.completion_characters * float(answered.price) / MILLION)
    )
    return CostPart(name, usd, f"{volume.rows:,} rows")


def serving_day_cost(config: TuningConfig, cloud: CloudConfig, prices: Prices) -> CostPart:
    """Return what a release costs for each day that it is deployed, used or not; tuned Gemini models: nothing.

    Raises:
        BudgetError: when a price is not known or too old.
    """
    if config.backend == "gemini":
        return CostPart("serving, a day", Range(0.0, 0.0, 0.0), "a shared endpoint; questions are billed as asked")
    endpoint = cloud.endpoint
    price = prices.of("serving_machine", endpoint.machine_type, cloud.serves_in)
    day = 24.0 * float(price.price)
    least, most = day * endpoint.min_replicas, day * endpoint.max_replicas
    how = f"{endpoint.min_replicas}–{endpoint.max_replicas} x {endpoint.machine_type}, used or not"
    return CostPart("serving, a day", Range(least, least, most), how)


def billed_cost(config: TuningConfig, cloud: CloudConfig, tokens: int, prices: Prices) -> float:
    """Return the list price in dollars of training tokens that were billed.

    Raises:
        BudgetError: when the price is not known or too old.
    """
    entry = find_model(config.base_model)
    return tokens * float(prices.of("training_tokens", entry.id, cloud.location).price) / MILLION


def _managed(
    config: TuningConfig, cloud: CloudConfig, volume: Volume, prices: Prices, learned: LearnedRatio | None
) -> tuple[list[CostPart], list[str], list[date]]:
    entry = find_model(config.base_model)
    price = prices.of("training_tokens", entry.id, cloud.location)
    tokens = _billed_tokens(entry, config, volume, learned)
    how = f"{tokens.mid:,.0f} tokens x ${price.price} a million"
    parts = [CostPart("training tokens", tokens.times(float(price.price) / MILLION), how)]
    told, dates = [_ratio_told(entry, config, volume, learned)], [price.as_of]
    if volume.attachments:
        told.append(f"{volume.attachments:,} files are not counted; their tokens come on top")
    if config.managed_settings.method == "distillation":
        part, when = _teacher_part(config, cloud, volume, prices, tokens.mid / max(1.0, config.epochs))
        parts.append(part)
        dates += when
        told.append("the teacher answers each row once, with 500 to 4,000 tokens")
    return parts, told, dates


def _teacher_part(
    config: TuningConfig, cloud: CloudConfig, volume: Volume, prices: Prices, asked_tokens: float
) -> tuple[CostPart, list[date]]:
    teacher = config.managed_settings.teacher
    asked = prices.of("input_tokens", teacher, cloud.location)
    answered = prices.of("output_tokens", teacher, cloud.location)
    questions = asked_tokens * float(asked.price) / MILLION
    usd = _TEACHER_ANSWER.times(volume.rows * float(answered.price) / MILLION).plus(
        Range(questions, questions, questions)
    )
    return CostPart("teacher", usd, f"{volume.rows:,} answers of {teacher}"), [asked.as_of, answered.as_of]


def _custom_job(
    config: TuningConfig, cloud: CloudConfig, volume: Volume, prices: Prices, parameters_b: float | None
) -> tuple[list[CostPart], list[str], list[date]]:
    job = config.job_settings
    entry = lookup(config.base_model)
    size = parameters_b if parameters_b is not None else (entry.parameters_b if entry else None)
    price, when = hourly_price(job, cloud.location, prices)
    hours, told = training_hours(job, volume.characters * config.epochs, size)
    spot = " spot" if job.spot else ""
    how = f"{hours.mid:.1f} h ({hours.low:.1f}–{hours.high:.1f}) of {job.replicas} x {job.machine_type}{spot}"
    return [CostPart("machines", hours.times(price * job.replicas), f"{how} at ${price:.2f} an hour")], told, when


def _apart(config: TuningConfig, cloud: CloudConfig, evaluation: Volume | None, prices: Prices) -> list[CostPart]:
    """Return what is paid for separately; an unknown price is shown as such, and blocks when its turn comes."""
    batch = cloud.inference == "batch" or (cloud.inference == "auto" and config.backend != "gemini")
    parts = []
    if evaluation is not None:
        parts.append(_shown("evaluation", lambda: evaluation_cost(config, cloud, evaluation, prices, batch=batch)))
    parts.append(_shown("serving, a day", lambda: serving_day_cost(config, cloud, prices)))
    return parts


def _shown(name: str, cost: Callable[[], CostPart]) -> CostPart:
    try:
        return cost()
    except BudgetError as problem:
        return CostPart(name, None, f"{problem.what}: {problem.where}")


def _billed_characters(config: TuningConfig, volume: Volume) -> float:
    doubled = volume.prompt_characters if config.managed_settings.method == "dpo" else 0
    return (volume.characters + doubled) * config.epochs


def _billed_tokens(entry: ModelEntry, config: TuningConfig, volume: Volume, learned: LearnedRatio | None) -> Range:
    if volume.tokens is not None and config.managed_settings.method != "dpo":
        exact = volume.tokens * config.epochs
        return Range(exact, exact, exact)
    return _ratio(entry, config, learned).times(_billed_characters(config, volume))


def _ratio(entry: ModelEntry, config: TuningConfig, learned: LearnedRatio | None) -> Range:
    """Return tokens for each character.

    Raises:
        BudgetError: when nobody has measured them for this model and mode.
    """
    if learned is not None:
        return learned.ratio
    mode = entry.modes.get(config.managed_settings.mode)
    ratio = mode.tokens_per_character if mode else None
    if ratio is None:
        raise BudgetError(
            "nobody has measured this model's tokens, so that its cost cannot be estimated",
            where=f"{entry.id}, mode {config.managed_settings.mode}",
            expected="tokens_per_character in the catalogue, or an earlier job that was billed",
            mend="take a model with a known ratio",
        )
    return Range(ratio * (1 - SPREAD), ratio, ratio * (1 + SPREAD))


def _ratio_told(entry: ModelEntry, config: TuningConfig, volume: Volume, learned: LearnedRatio | None) -> str:
    if volume.tokens is not None and config.managed_settings.method != "dpo":
        return "tokens were counted by the model's own tokenizer"
    ratio = _ratio(entry, config, learned)
    source = f"as {learned.jobs} earlier jobs were billed" if learned else f"±{SPREAD:.0%}, catalogue of {entry.as_of}"
    return f"{ratio.mid:.3f} tokens a character ({source}), {config.epochs:g} epochs"
