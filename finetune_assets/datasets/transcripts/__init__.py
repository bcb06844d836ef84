"""What can be told from a transcript by itself. Here belongs the error detector, pure and light enough for serving."""
