"""How many hours a custom job may take, and what an hour of its machines costs.

Time is guessed from arithmetic: 6 operations a parameter and token (Kaplan et al. 2020, arXiv:2001.08361), over the
accelerators' peak (dense bfloat16, makers' data sheets) times the share of it that fine-tuning reaches.
"""

from __future__ import annotations

from datetime import date

from finetune_assets.tuning.cloud.cost import Range
from finetune_assets.tuning.cloud.prices import Prices
from finetune_assets.tuning.managed_config import CustomJobSettings

_PEAK_TERAFLOPS = {
    "NVIDIA_TESLA_P4": 5.5,
    "NVIDIA_TESLA_P100": 19.0,
    "NVIDIA_TESLA_T4": 65.0,
    "NVIDIA_TESLA_V100": 125.0,
    "NVIDIA_L4": 121.0,
    "NVIDIA_TESLA_A100": 312.0,
    "NVIDIA_A100_80GB": 312.0,
    "NVIDIA_RTX_PRO_6000": 500.0,
    "NVIDIA_H100_80GB": 989.0,
    "NVIDIA_H100_MEGA_80GB": 989.0,
    "NVIDIA_H200_141GB": 989.0,
    "NVIDIA_B200": 2250.0,
}
_OPERATIONS = 6.0
# Share of the peak: small batches and short rows reach little of it.
_SLOWEST, _USUAL, _FASTEST = 0.08, 0.20, 0.45
_TOKENS_PER_CHARACTER = 0.30
# Fetching the image and the weights, before the first step and after the last.
_OVERHEAD = Range(0.10, 0.25, 0.60)
# Machines that carry their accelerators are priced as a whole.
_WHOLE = ("g2-", "g4-", "a2-", "a3-", "a4-")


def training_hours(job: CustomJobSettings, characters: float, parameters_b: float | None) -> tuple[Range, list[str]]:
    """Return the hours that a job may take, and what was assumed.

    Args:
        job: its machines; `max_hours` bounds the hours, for the service ends the job then.
        characters: characters of the training rows times epochs.
        parameters_b: the base's parameters in thousand millions, None where they are not known.
    """
    peak = _PEAK_TERAFLOPS.get(job.accelerator_type)
    if peak is None or parameters_b is None:
        why = "the base's size is not known" if parameters_b is None else "nothing is known of this machine's speed"
        hours = Range(min(_OVERHEAD.low, job.max_hours), job.max_hours / 2, job.max_hours)
        return hours, [f"{why}: up to max_hours ({job.max_hours:g} h)"]
    work = _OPERATIONS * parameters_b * 1e9 * characters * _TOKENS_PER_CHARACTER
    second = peak * 1e12 * job.accelerator_count * job.replicas
    longest = work / (second * _SLOWEST) / 3600 + _OVERHEAD.high
    hours = Range(
        min(job.max_hours, work / (second * _FASTEST) / 3600 + _OVERHEAD.low),
        min(job.max_hours, work / (second * _USUAL) / 3600 + _OVERHEAD.mid),
        min(job.max_hours, longest),
    )
    told = [f"{_SLOWEST:.0%} to {_FASTEST:.0%} of the peak speed, {_TOKENS_PER_CHARACTER} tokens a character"]
    if longest > job.max_hours:
        told.append(f"it may take {longest:.1f} h and is ended after max_hours ({job.max_hours:g} h)")
    return hours, told


def hourly_price(job: CustomJobSettings, region: str, prices: Prices) -> tuple[float, list[date]]:
    """Return what one replica costs an hour, in dollars, with the dates of its prices.

    Raises:
        BudgetError: when a price is not known or too old.
    """
    machine = prices.of("machine", job.machine_type, region, spot=job.spot)
    if not job.accelerator_count or job.machine_type.startswith(_WHOLE):
        return float(machine.price), [machine.as_of]
    added = prices.of("accelerator", job.accelerator_type, region, spot=job.spot)
    return float(machine.price) + job.accelerator_count * float(added.price), [machine.as_of, added.as_of]
