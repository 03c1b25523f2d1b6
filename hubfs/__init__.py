"""Mount the Hugging Face Hub as one directory."""
