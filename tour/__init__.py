"""The guided tour: what runs its pages and draws their pictures.

    literate.py  runs the Python in a Markdown page and writes down what it prints
    pictures.py  the kinds of picture that the tour shows

`make tour` runs the page anew, and the tests hold the page to what it prints.
"""
