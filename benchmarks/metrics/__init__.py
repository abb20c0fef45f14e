"""Metrics: arrays in, one number for each query or clip out; retrieval, and statistics."""
