"""A trained model behind an OpenAI-compatible endpoint."""
