"""The speaking face: network, losses, batches, training, use."""
