"""Plain English about this project, for the embedded base's corpus.

Here belong sentences only. They tell nothing about how an observation is labelled.
"""

from __future__ import annotations

PROSE: tuple[str, ...] = (
    "A fine-tuning task starts with records and ends with an endpoint that answers questions about new ones.",
    "Records that cannot be used go to quarantine, each with a reason, a place and a hint how to mend it.",
    "The number of rows that were read equals the accepted ones, the rejected ones and the copies together.",
    "A split never cuts a group of rows that belong together, so that the test set stays honest.",
    "The tokenizer turns text into numbers, and the model predicts the next number from those before it.",
    "An adapter changes a few weights beside the frozen layers of a larger model.",
    "Training reads the rows in batches, measures the loss, and takes a small step against the gradient.",
    "A checkpoint that was written completely can be used to continue after the power has gone.",
    "The report compares the candidate with what is live now, on the same rows, in pairs.",
    "When too few rows decide the question, the verdict is inconclusive, and the report says how many more would do.",
    "A release goes live only after it has answered the recorded questions in the very process that serves it.",
    "People may look at the confusion matrix, the loss curve and the rows that went wrong.",
    "Write the answer as one line of JSON with the keys in their order and nothing around it.",
    "Read the note of the teacher, think about what the child was doing, and choose from the list.",
    "Teachers write down what they see: who was there, what happened, and how it went.",
    "The children play in the garden, in the sand, at the tables and on the carpet near the window.",
    "Some of them like to build, others like to paint, to sing, to listen or to run.",
    "After lunch it is quiet, and the group meets again for a story before going home.",
    "In the morning everybody hangs up a coat, finds a friend and starts the day.",
    "Parents ask how the week was, and the notes help to give a fair and friendly answer.",
    "What is hard today may be easy in spring, because every child learns at a pace of its own.",
    "A good note says what was seen and heard; it does not guess what it means.",
    "The system message sets the rules, the user asks, and the assistant answers.",
    "Numbers such as 1, 2, 3, 10, 25, 100 and 2048 stand in the text as they are written.",
    "If the file is missing or empty, the program says so in one line and leaves everything as it was.",
    "The same input gives the same output on the same machine, whoever starts the run.",
    "Keep secrets out of the records, the logs and the reports.",
    "One command runs the whole way; another shows what is live and which scores it has.",
    "The first column holds the name, the second the count, and the third the share of all rows.",
    "Yes and no are short answers; a question about why deserves a longer one.",
)

# Words and keys for JSON lines about nothing in particular: a task with other labels needs the form, not our names.
WORDS: tuple[str, ...] = (
    "account", "answer", "apple", "arrival", "balance", "bank", "book", "bridge", "calendar", "card", "change",
    "city", "colour", "credit", "date", "delay", "direction", "dinner", "distance", "exchange", "family", "flight",
    "freeze", "garden", "greeting", "home", "insurance", "interest", "kitchen", "language", "limit", "list", "lost",
    "meal", "meeting", "message", "music", "name", "number", "oil", "order", "payment", "phone", "plan", "play",
    "price", "question", "rate", "recipe", "reminder", "report", "request", "reset", "road", "routing", "rule",
    "schedule", "school", "shopping", "song", "spending", "status", "story", "table", "tax", "time", "timer", "tip",
    "traffic", "transfer", "translate", "travel", "update", "utility", "vacation", "volume", "weather", "week",
    "wheel", "window", "word", "work", "year",
)  # fmt: skip
KEYS: tuple[str, ...] = ("answer", "category", "domain", "intent", "label", "level", "name", "subject", "topic", "type")
