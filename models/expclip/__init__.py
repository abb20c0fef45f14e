"""ExpCLIP: network, losses, data, training, use."""
