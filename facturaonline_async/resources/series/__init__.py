"""Series: what numbers the documents of a company."""
