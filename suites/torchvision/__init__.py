"""torchvision: its operators, its transforms of image tensors, and one small model of each family."""
