"""An HTTP server for an exported model: the Open Inference Protocol, and images as they are.

Read `server.py` first (what is served, and how it ends), then `app.py` (the addresses),
`service.py` (one request from its body to its answer) and `batcher.py`.
"""
