"""What looks across domains: the overview."""
