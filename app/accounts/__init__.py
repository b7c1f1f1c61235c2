"""Users, roles, API tokens, login: who may do what."""
