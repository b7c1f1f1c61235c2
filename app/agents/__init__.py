"""Agents and their chains: which provider, model, key and parameters an agent uses."""
