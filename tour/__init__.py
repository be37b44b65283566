"""The guided tour: what runs its pages, draws their pictures, and makes one notebook of them.

    literate.py  runs the Python in Markdown pages and writes down what it prints and draws
    pictures.py  writes a picture, and tells whether two show the same
    notebook.py  makes the notebook of the pages and executes it

`make tour` runs it all anew. The tests compare pages, pictures and notebook with a run.
"""
