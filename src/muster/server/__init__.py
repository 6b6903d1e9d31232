"""The hall: settings, wiring, start and stop of everything.

Knows every room and does nothing itself. Start reading at app.py, then serve.py.
"""
