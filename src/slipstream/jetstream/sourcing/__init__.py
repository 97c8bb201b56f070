"""Mirrors and sources: how a stream gets what another stream has (S-182..S-199).

`origin` says how an origin is addressed: names, subjects, the consumer that is asked for. `link`
is the life of one mirror or source: asking, taking in, noticing silence, asking again. `links`
has all of a server's links and speaks with the kernel, which moves the messages (feed.hpp).
`origin_rules` judges configurations, `shown` is what STREAM.INFO says.
"""
