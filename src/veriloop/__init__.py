"""veriloop: from a domain (tools, database, policy) to a trained tool-using agent, with proof."""

__version__ = "0.1.0"
