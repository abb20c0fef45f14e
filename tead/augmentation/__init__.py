"""Varied texts: EDA, synonyms, augmenters of nlpaug, and their links to the originals."""
