"""Programs that run on the null GPU, each in a process of its own."""
