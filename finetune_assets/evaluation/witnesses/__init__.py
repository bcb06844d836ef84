"""Further witnesses of a report: the label court, ratings by people, a judging model."""
