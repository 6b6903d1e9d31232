"""The outbuilding: what runs in the ephemeral OS: hello, fetch, run, report.

Knows how to reach one server and to run scripts. Does not know what the results mean.
Stdlib only, Python 3.10+; metadata/pack.py ships it as one file. Start reading at __main__.py.
"""
