"""Every class of torch.nn, in training and evaluation mode, by topic."""
