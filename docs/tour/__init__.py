"""The tour: everything a newcomer would type, run for real and checked.

``steps`` is what is typed and what should come of it; ``runner`` types it and
judges; ``rendering`` is what a person reads of it; ``place`` is where it
happens; ``target`` and ``worker`` are what a URL's server and a worker say
themselves.
"""
