"""Pages that look across domains: the overview, an agent's page, search, health, settings."""
