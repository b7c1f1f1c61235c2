"""Tasks: what agents answer, the schema of the answer, and who is assigned to what."""
