"""TEAD: emotional text, tags, action units, situations and blendshape weights."""
