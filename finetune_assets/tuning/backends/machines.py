"""Which accelerators a machine of Vertex AI carries, so that a job for a machine that does not exist is never sent.

Source: Vertex AI, "Configure compute resources for custom training" (read 2026-10-07). Families that are not listed
are left to the service to judge.
"""

from __future__ import annotations

from finetune_assets.tuning.cloud.errors import RejectedError
from finetune_assets.tuning.managed_config import CustomJobSettings

# Machines whose accelerators are part of them: type and number.
_FIXED: dict[str, tuple[str, int]] = {
    **{f"g2-standard-{size}": ("NVIDIA_L4", 1) for size in (4, 8, 12, 16, 32)},
    "g2-standard-24": ("NVIDIA_L4", 2),
    "g2-standard-48": ("NVIDIA_L4", 4),
    "g2-standard-96": ("NVIDIA_L4", 8),
    **{f"a2-highgpu-{count}g": ("NVIDIA_TESLA_A100", count) for count in (1, 2, 4, 8)},
    "a2-megagpu-16g": ("NVIDIA_TESLA_A100", 16),
    **{f"a2-ultragpu-{count}g": ("NVIDIA_A100_80GB", count) for count in (1, 2, 4, 8)},
    **{f"a3-highgpu-{count}g": ("NVIDIA_H100_80GB", count) for count in (1, 2, 4, 8)},
    "a3-megagpu-8g": ("NVIDIA_H100_MEGA_80GB", 8),
    "a3-ultragpu-8g": ("NVIDIA_H200_141GB", 8),
    "a4-highgpu-8g": ("NVIDIA_B200", 8),
    "g4-standard-48": ("NVIDIA_RTX_PRO_6000", 1),
    "g4-standard-96": ("NVIDIA_RTX_PRO_6000", 2),
    "g4-standard-192": ("NVIDIA_RTX_PRO_6000", 4),
    "g4-standard-384": ("NVIDIA_RTX_PRO_6000", 8),
}
# Accelerators that can be added to n1 machines, and how many.
_ADDED: dict[str, tuple[int, ...]] = {
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}
_WITHOUT = ("n2", "n2d", "e2", "c2", "c2d", "c3", "m1", "n4")


def check_machine(settings: CustomJobSettings) -> None:
    """Hold a machine against its accelerators.

    Raises:
        RejectedError: when the machine does not carry what is asked for; it names what it does carry.
    """
    machine, kind, count = settings.machine_type, settings.accelerator_type, settings.accelerator_count
    if bool(kind) != bool(count):
        raise _wrong(settings, "an accelerator and its number, or neither")
    family = machine.split("-")[0]
    if machine in _FIXED:
        if (kind, count) != _FIXED[machine]:
            raise _wrong(settings, f"{_FIXED[machine][1]} {_FIXED[machine][0]}")
    elif any(known.split("-")[0] == family for known in _FIXED):
        raise _wrong(settings, "one of " + ", ".join(name for name in _FIXED if name.startswith(f"{family}-")))
    elif family == "n1" and kind and count not in _ADDED.get(kind, ()):
        raise _wrong(settings, "; ".join(f"{name} {'/'.join(map(str, sizes))}" for name, sizes in _ADDED.items()))
    elif family in _WITHOUT and kind:
        raise _wrong(settings, "no accelerator (accelerator_type: '', accelerator_count: 0)")


def _wrong(settings: CustomJobSettings, expected: str) -> RejectedError:
    accelerators = settings.accelerator_type or "accelerators"
    return RejectedError(
        "the machine does not carry these accelerators",
        where="tuning.custom_job",
        found=f"{settings.machine_type} with {settings.accelerator_count} {accelerators}",
        expected=expected,
        mend="correct machine_type, accelerator_type and accelerator_count",
    )
