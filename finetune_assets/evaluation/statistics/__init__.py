"""The statistics of a paired comparison: exact tests, resampling, intervals, planning. Nothing here knows a gate."""
