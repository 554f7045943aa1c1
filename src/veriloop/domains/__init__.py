"""Domains: tools over a database under a written policy, and the tasks set in them."""
