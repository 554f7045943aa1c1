"""Where names become domains, players and models, and the parts of the chain are put together."""
