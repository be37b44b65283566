"""The page that shows a run's network at work, as a folder of files for a browser."""
