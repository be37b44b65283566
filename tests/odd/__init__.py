"""Odd inputs, as people have them: what each of them gives, in one table.

    python -m tests.odd                # all of them
    python -m tests.odd zip exif       # those whose name contains one of these words

Each module here has a list of `CASES`. The exit code is 1 if one is not as expected.
"""
