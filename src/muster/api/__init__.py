"""The front desk: JSON over HTTP for people and programs; one file a noun; OpenAPI.

Knows HTTP, keys and roles. Does not decide: reads from store, writes through lifecycle.
Start reading at app.py, the route table.
"""
