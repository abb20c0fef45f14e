"""Results on disk: written once, verified by anyone, compared pair by pair."""
