"""Models behind endpoints: one asynchronous client for any OpenAI-compatible server, with one layer of retries."""
