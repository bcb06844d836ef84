"""The report as a page for the browser: one HTML file, in which no text of data can be anything but text."""

from finetune_assets.evaluation.report.page.page import CHANGES_FILE, report_page
from finetune_assets.evaluation.report.page.rows import PageRow, Timing, timing_of

__all__ = ["CHANGES_FILE", "PageRow", "Timing", "report_page", "timing_of"]
