"""Texts to be annotated: two corpora of our own, local files, the Hub."""
