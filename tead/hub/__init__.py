"""A TEAD as a data set of the Hugging Face Hub: card, metadata, publishing."""
