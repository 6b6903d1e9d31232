"""The windows: pages for people; one file and one template a page.

Knows HTML, cookies and what people look at first. Decides nothing; reads from store, writes
through lifecycle. Everything from a machine is escaped by the templates.
Start reading at app.py, the route table.
"""
