"""The PyTorch basics tutorial, step by step."""
