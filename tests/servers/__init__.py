"""Stand-in servers on loopback: an OpenAI-compatible one and a Hugging Face Hub."""
