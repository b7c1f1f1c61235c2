"""LLM, TTS and STT endpoints with their credentials, and an adapter for every type."""
