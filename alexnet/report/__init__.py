"""Pictures of the network and of a run, and the page that shows them together.

`style` holds every colour, font and size, `page` lays a picture out in inches, and
each kind of picture has a module of its own: a pure function from plain data to a
matplotlib Figure. `draw` makes them all, `report` binds them into one HTML page.
"""
