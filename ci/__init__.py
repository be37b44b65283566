"""What a retraining job does, in commands that run anywhere; .github/workflows calls them.

The modules need the project's environment: `python -m ci.pull`. The shell scripts run on
a bare machine, before there is one or after.
"""
