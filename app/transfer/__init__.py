"""Configuration in bulk: seeds, export and import, restore, and the history as callers see it."""
