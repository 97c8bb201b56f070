"""Mirrors and sources: how a stream gets what another stream has (S-182..S-199).

origin.py        how an origin is addressed: names, subjects, the consumer that is asked for
link.py          the life of one mirror or source: asking, taking in, noticing silence, asking again
links.py         all of a server's links; the kernel, which it speaks with, moves the messages
origin_rules.py  what configurations may ask for
shown.py         what STREAM.INFO says
"""
