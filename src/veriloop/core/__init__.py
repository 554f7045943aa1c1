"""The types that cross layers: messages, traces, verdicts, metrics, errors. Pydantic and stdlib only."""
