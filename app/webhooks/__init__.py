"""Webhooks: whoever asked for it is told, signed, what happened here."""
