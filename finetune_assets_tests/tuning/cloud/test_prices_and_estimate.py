from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import find_intent, list_intents, mark, record_intent
from finetune_assets.tuning.cloud.catalogue import catalogue
from finetune_assets.tuning.cloud.config import Budget, CloudConfig
from finetune_assets.tuning.cloud.cost import LearnedRatio, Range, Volume, learned_ratio, reservation_of
from finetune_assets.tuning.cloud.errors import BudgetError
from finetune_assets.tuning.cloud.estimate import billed_cost, estimate, evaluation_cost, serving_day_cost
from finetune_assets.tuning.cloud.prices import Prices, load_prices
from finetune_assets.tuning.config import TuningConfig

TODAY = date(2026, 11, 21)
CLOUD = CloudConfig(project="p1")
VOLUME = Volume(rows=500, prompt_characters=300_000, completion_characters=100_000)


def prices(today: date = TODAY, **budget: Any) -> Prices:
    return load_prices(Budget(**budget), Path(), today=today)


def gemini(**more: Any) -> TuningConfig:
    return TuningConfig(backend="gemini", base_model="gemini-2.5-flash", epochs=3, **more)


def open_model(model: str = "qwen/qwen3@qwen3-32b", **managed: Any) -> TuningConfig:
    return TuningConfig(backend="open_model", base_model=model, epochs=3, managed=managed)  # type: ignore[arg-type]


def custom(model: str = "Qwen/Qwen3-8B", **job: Any) -> TuningConfig:
    return TuningConfig(backend="custom_job", base_model=model, epochs=3, custom_job=job)  # type: ignore[arg-type]


def test_prices_have_source_and_date() -> None:
    found = prices()
    price = found.of("training_tokens", "gemini-2.5-flash", "europe-west4")
    assert (float(price.price), price.unit) == (5.0, "1M tokens")
    assert found.source_of(price).startswith("https://cloud.google.com/")
    assert found.currency == "USD"
    assert all(price.as_of.year == 2026 for price in found.file.prices)


def test_a_price_that_no_source_names_is_not_shipped() -> None:
    shipped = {(price.kind, price.name) for price in prices().file.prices}
    assert not {kind for kind, _ in shipped} & {"storage", "batch_share", "disk"}
    asked = {name for kind, name in shipped if kind in ("input_tokens", "output_tokens")}
    assert asked == {"gemini-3.5-flash", "gemini-3.1-flash-lite"}
    told = estimate(gemini(), CLOUD, VOLUME, prices(), evaluation=VOLUME).apart[0]
    assert (told.name, told.usd) == ("evaluation", None)
    assert "not known" in told.how


def test_an_unknown_price_blocks_and_is_never_zero() -> None:
    with pytest.raises(BudgetError, match=r"machine of g2-standard-12 in europe-west4; found us-central1\. Mend"):
        prices().of("machine", "g2-standard-12", "europe-west4")
    with pytest.raises(BudgetError, match="no price of it anywhere"):
        prices().of("training_tokens", "qwen/qwen3-5@qwen3.5-9b", "us-central1")
    with pytest.raises(BudgetError, match="spot of g2-standard-12"):
        estimate(custom(spot=True), CLOUD, VOLUME, prices())


def test_an_old_price_blocks() -> None:
    assert prices(today=date(2027, 3, 20)).of("training_tokens", "gemini-2.5-flash", "us-central1")
    with pytest.raises(BudgetError, match=r"too old.*as of 2026-09-30, 182 days ago.*at most 180 days"):
        prices(today=date(2027, 3, 31)).of("training_tokens", "gemini-2.5-flash", "us-central1")
    assert prices(today=date(2027, 3, 31), prices_max_age_days=200).of("training_tokens", "gemini-2.5-flash", "x")


def test_a_price_file_of_ones_own_lies_over_the_shipped_one(tmp_path: Path) -> None:
    own = "{kind: machine, name: g2-standard-12, price: 0.4, unit: hour, region: europe-west4, source: us, as_of: %s}"
    line = own % "2026-11-01"
    spot = line.replace("}", ", spot: true}")
    (tmp_path / "p.yaml").write_text(f"currency: USD\nprices:\n- {line}\n- {spot}\n")
    found = load_prices(Budget(prices="p.yaml"), tmp_path, today=TODAY)
    assert float(found.of("machine", "g2-standard-12", "europe-west4").price) == 0.4
    assert found.find("machine", "g2-standard-12", "us-central1") is None
    assert found.of("training_tokens", "gemini-2.5-flash", "us-central1")
    there = CloudConfig(location="europe-west4")
    assert estimate(custom(spot=True), there, VOLUME, found).high > 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("a: [", "not YAML"),
        ("currency: EUR\nprices: []\n", r"wrong at p.yaml: currency"),
        ("currency: USD\nprices: [{kind: machine}]\n", r"wrong at p.yaml: prices.0"),
    ],
)
def test_a_wrong_price_file_is_one_line(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(BudgetError, match=told):
        load_prices(Budget(prices="p.yaml"), tmp_path, today=TODAY)


def test_gemini_is_characters_times_ratio_times_epochs_times_price() -> None:
    found = estimate(gemini(), CLOUD, VOLUME, prices())
    assert found.mid == pytest.approx(400_000 * 0.25 * 3 * 5.0 / 1e6)
    assert (found.low, found.high) == (pytest.approx(found.mid * 0.75), pytest.approx(found.mid * 1.25))
    assert found.line == "≈ $1.50 (1.12–1.88), list prices of 2026-09-30, without tax"
    assert found.record() == {
        "model": "gemini-2.5-flash",
        "mode": "peft",
        "characters": 1_200_000,
        "as_of": "2026-09-30",
    }
    assert any("0.250 tokens a character" in line for line in found.lines())


def test_preferences_bill_the_question_twice() -> None:
    found = estimate(gemini(managed={"method": "dpo"}), CLOUD, VOLUME, prices())
    assert found.mid == pytest.approx((2 * 300_000 + 100_000) * 0.25 * 3 * 5.0 / 1e6)


def test_tokens_that_were_counted_have_no_range() -> None:
    found = estimate(gemini(), CLOUD, replace(VOLUME, tokens=90_000), prices())
    assert found.low == found.mid == found.high == pytest.approx(90_000 * 3 * 5.0 / 1e6)


def test_open_models_have_ratios_by_mode() -> None:
    peft = estimate(open_model("meta/llama3_1@llama-3.1-8b"), CLOUD, VOLUME, prices()).mid
    full = estimate(open_model("meta/llama3_1@llama-3.1-8b", mode="full"), CLOUD, VOLUME, prices()).mid
    assert peft / full == pytest.approx(0.317 / 0.247)


def test_a_small_price_shows_its_digits() -> None:
    found = estimate(open_model("meta/llama3_1@llama-3.1-8b"), CLOUD, Volume(5, 1000, 1000), prices())
    assert found.line.startswith("≈ $0.0013 (0.0010–0.0016)")


def test_every_model_is_estimated_or_blocks() -> None:
    blocked = []
    for entry in catalogue().models:
        for mode in entry.modes:
            settings = TuningConfig(backend=entry.backend, base_model=entry.id, managed={"mode": mode})  # type: ignore[arg-type]
            try:
                assert estimate(settings, CLOUD, VOLUME, prices()).low > 0
            except BudgetError:
                blocked.append(entry.short_name)
    assert blocked == ["medgemma-1.5-4b-it", "qwen3.6-27b", "qwen3.6-35b-a3b", "qwen3.5-9b", "glm-4.7-flash"]


def test_a_teacher_without_a_price_blocks() -> None:
    teacher = "qwen/qwen3-next-80b-a3b-thinking-maas"
    with pytest.raises(BudgetError, match=f"input_tokens of {teacher}"):
        estimate(open_model(method="distillation", teacher=teacher), CLOUD, VOLUME, prices())


def test_a_custom_job_is_hours_of_its_machines() -> None:
    one = estimate(custom(), CLOUD, VOLUME, prices())
    two = estimate(custom(replicas=2), CLOUD, VOLUME, prices())
    assert 0.1 * 1.98 < one.low < one.mid < one.high <= 6 * 1.98
    assert two.high > one.mid  # two machines halve the work and double the start
    unknown = estimate(custom("some/model", max_hours=2.0), CLOUD, VOLUME, prices())
    assert unknown.high == pytest.approx(2 * 1.98)
    assert "the base's size is not known" in unknown.assumptions[0]
    assert estimate(custom("some/model"), CLOUD, VOLUME, prices(), parameters_b=8.2).mid == pytest.approx(one.mid)
    long = estimate(custom(max_hours=1.0), CLOUD, Volume(10**6, 10**9, 10**8), prices())
    assert long.low == long.high == pytest.approx(1.98)
    assert any("is ended after max_hours" in text for text in long.assumptions)


def test_added_accelerators_are_paid_for_with_their_machine(tmp_path: Path) -> None:
    entry = "{kind: accelerator, name: NVIDIA_TESLA_T4, price: 0.4, unit: hour, region: us-central1, "
    entry += "source: us, as_of: 2026-11-01}"
    (tmp_path / "p.yaml").write_text(f"currency: USD\nprices: [{entry}]\n")
    own = load_prices(Budget(prices="p.yaml"), tmp_path, today=TODAY)
    settings = custom(
        "x/y", machine_type="n1-standard-4", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=2, max_hours=1
    )
    assert estimate(settings, CLOUD, VOLUME, own).high == pytest.approx(0.21849885 + 2 * 0.4)
    with pytest.raises(BudgetError, match="accelerator of NVIDIA_TESLA_T4"):
        estimate(settings, CLOUD, VOLUME, prices())


def priced_questions(folder: Path) -> Prices:
    """Return the shipped prices with made-up ones for questions and answers laid over them."""
    rows = (("input_tokens", "gemini-2.5-flash", 0.3), ("output_tokens", "gemini-2.5-flash", 2.5))
    lines = [
        f"- {{kind: {kind}, name: {name}, price: {price}, unit: 1M tokens, region: any, source: us, as_of: 2026-11-01}}"
        for kind, name, price in rows
    ]
    share = "- {kind: batch_share, name: gemini, price: 0.5, unit: share, region: any, source: us, as_of: 2026-11-01}"
    (folder / "p.yaml").write_text("\n".join(["currency: USD", "prices:", *lines, share, ""]))
    return load_prices(Budget(prices="p.yaml"), folder, today=TODAY)


def test_evaluation_and_serving_stand_apart(tmp_path: Path) -> None:
    test = Volume(rows=100, prompt_characters=40_000, completion_characters=8_000)
    own = priced_questions(tmp_path)
    found = estimate(gemini(), CLOUD, VOLUME, own, evaluation=test)
    online = evaluation_cost(gemini(), CLOUD, test, own, batch=False)
    assert found.apart[0] == online
    assert online.usd is not None
    assert online.usd.mid == pytest.approx(40_000 * 0.25 * 0.3e-6 + 8_000 * 0.25 * 2.5e-6)
    batch = evaluation_cost(gemini(), CLOUD, test, own, batch=True)
    assert batch.usd is not None
    assert batch.usd.mid == pytest.approx(online.usd.mid / 2)
    assert found.mid == estimate(gemini(), CLOUD, VOLUME, prices()).mid
    day = serving_day_cost(open_model(), CLOUD, prices())
    assert day.usd is not None
    assert (day.usd.low, day.usd.high) == (pytest.approx(47.52), pytest.approx(47.52))
    assert serving_day_cost(gemini(), CLOUD, prices()).usd == Range(0.0, 0.0, 0.0)


def test_what_comes_after_without_a_price_is_shown_and_blocks_in_its_turn() -> None:
    there = CloudConfig(location="europe-west4")
    found = estimate(open_model(), there, VOLUME, prices(), evaluation=VOLUME)
    assert [part.usd for part in found.apart] == [None, None]
    assert "not known" in found.lines()[-2]
    with pytest.raises(BudgetError):
        serving_day_cost(open_model(), there, prices())


def test_a_job_above_its_own_limit_is_refused() -> None:
    found = estimate(gemini(), CLOUD, VOLUME, prices())
    with pytest.raises(BudgetError, match=r"per_job_usd; found ≈ \$1.50"):
        reservation_of(found, Budget(per_job_usd=1.80))
    fits = reservation_of(found, Budget(per_job_usd=1.88, monthly_usd=10))
    assert (fits.high, fits.limit, fits.prices_as_of) == (1_875_000, 10_000_000, "2026-09-30")
    assert reservation_of(found, Budget()).limit is None


def test_earlier_bills_teach_the_ratio(db: Database) -> None:
    assert learned_ratio(list_intents(db), "gemini-2.5-flash", "peft") is None
    for number, tokens in enumerate((330_000, 270_000)):
        key = f"key-{number}"
        found = estimate(gemini(), CLOUD, VOLUME, prices())
        record_intent(
            db,
            key,
            task="t",
            backend="gemini",
            run_key_of=lambda attempt, key=key: f"{key}-{attempt}",  # type: ignore[misc]
            request={"estimate": found.record()},
            reservation=reservation_of(found, Budget()),
        )
        mark(db, key, "SUCCEEDED", billable_tokens=tokens)
    learned = learned_ratio(list_intents(db), "gemini-2.5-flash", "peft")
    assert learned is not None
    assert learned.jobs == 2
    assert learned.ratio.mid == pytest.approx(0.25)
    assert learned.ratio.low == pytest.approx(270_000 / 1_200_000 * 0.95)
    assert learned_ratio(list_intents(db), "gemini-2.5-flash", "full") is None
    found = estimate(gemini(), CLOUD, VOLUME, prices(), learned=learned)
    assert "as 2 earlier jobs were billed" in found.assumptions[0]
    assert find_intent(db, "key-0").request["estimate"]["characters"] == 1_200_000  # type: ignore[union-attr]
    assert billed_cost(gemini(), CLOUD, 330_000, prices()) == pytest.approx(1.65)
    db.close()


@given(
    questions=st.integers(0, 10**9),
    answers=st.integers(0, 10**9),
    epochs=st.integers(1, 50),
    low=st.floats(0.1, 0.3),
    spread=st.floats(0.0, 0.3),
)
def test_law_low_is_never_above_mid_nor_mid_above_high(
    questions: int, answers: int, epochs: int, low: float, spread: float
) -> None:
    volume, learned = Volume(1, questions, answers), LearnedRatio(Range(low, low + spread, low + 2 * spread), 1)
    for settings in (gemini(), open_model(), custom()):
        settings = settings.model_copy(update={"epochs": float(epochs)})
        for ratio in (None, learned):
            found = estimate(settings, CLOUD, volume, prices(), learned=ratio)
            assert 0 <= found.low <= found.mid <= found.high
            more = estimate(
                settings, CLOUD, replace(volume, completion_characters=answers + 1000), prices(), learned=ratio
            )
            assert more.mid >= found.mid
