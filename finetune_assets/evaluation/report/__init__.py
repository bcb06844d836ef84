"""The report: the judgement as JSON, Markdown, a page for the browser and charts."""
