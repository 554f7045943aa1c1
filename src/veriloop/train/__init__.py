"""Training: supervised fine-tuning of either seat, GRPO of the agent, and the pure parts both rest on."""
