"""Rejections of records that a task type cannot use: which field, what was found, how to mend it.

The texts are redacted and shortened where the quarantine is written (`datasets/quarantine.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.taxonomies.taxonomy import Fault
from finetune_assets.records.example import RawRecord, Rejection
from finetune_assets.task_types.prompts import FieldFault, text_of
from finetune_assets.task_types.shapes import Shape


@dataclass(frozen=True, slots=True)
class Rejecter:
    """Makes the rejections of one record.

    Attributes:
        record: the record.
        fields: its values by canonical name.
        shape: the fields of its shape.
    """

    record: RawRecord
    fields: Mapping[str, Any]
    shape: Shape

    def for_field(self, fault: FieldFault, mend: str = "correct the record at its source") -> Rejection:
        """Reject it for a field that cannot be used."""
        return self._rejection(fault.reason, fault.field, fault.found, fault.expected, mend)

    def for_label(self, fault: Fault) -> Rejection:
        """Reject it for its label."""
        names = dict(zip(self.shape.levels, self.shape.level_fields, strict=True))
        names["description"] = self.shape.description_field
        mend = "correct the label at its source, complete the taxonomy, or map it with `classification.label_map`"
        if fault.reason == "label_excluded":
            mend = "nothing, unless `classification.labels` should let it take part"
        return self._rejection(fault.reason, names.get(fault.level, fault.level), fault.found, fault.expected, mend)

    def _rejection(self, reason: str, name: str, found: str, expected: str, mend: str) -> Rejection:
        record_id = text_of(self.shape.id_field, self.fields.get(self.shape.id_field))
        text = self.fields.get(self.shape.text_field)
        return Rejection(
            reason=reason,
            source=self.record.source,
            record_id=record_id[:200] if isinstance(record_id, str) else "",
            field=name,
            found=found[:200],
            expected=expected,
            mend=mend,
            text=text[:1000] if isinstance(text, str) else "",
        )
