"""The switchboard: one file a driver, two or three functions each.

Knows how to switch one machine on and off from outside. Does not know why or when.
Start reading at fake.py, the smallest.
"""
