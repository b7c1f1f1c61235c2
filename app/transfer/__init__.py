"""Configuration in bulk: seeds now, export and import later."""
