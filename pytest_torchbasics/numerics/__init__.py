"""Numbers: names of dtypes, trees of tensors, and how large an error may be."""
