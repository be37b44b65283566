"""Pictures of the network and of a run, and the HTML page that shows them.

`style` holds every colour, font and size, `canvas` lays a picture out in inches, and each
kind of picture is a pure function from plain data to a matplotlib Figure. `run` reads a run
and `probe` its trained network, `draw` makes all pictures, `html_report` binds them into a
page; `compare` makes the page that compares two runs.
"""
