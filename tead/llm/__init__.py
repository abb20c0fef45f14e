"""Asking language models: servers, batches, a model on this machine; pace, cost, journal."""
