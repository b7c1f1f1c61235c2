"""Are the providers reachable? Checks, their states and their history."""
