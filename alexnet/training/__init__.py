"""From images to weights: the loop, its state, and what the images go through."""
