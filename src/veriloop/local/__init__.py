"""Local models: rendering and masks, a batched sampler with a kept cache, and the player that sits in a seat."""
