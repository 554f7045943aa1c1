"""Local OpenAI-compatible servers that the tests talk to over loopback."""
