"""NATS's configuration grammar, and one table of typed options.

options.py     every option with its type and default: files, flags, reload and the reference
               (reference.py) come from this table
table.py       how an option declares itself: keys, flags, whether a reload can change it, help
scanner.py, parser.py, source.py   the grammar: words, then maps, arrays, includes, variables
readers.py     from a value of a file to a value of an option
load.py        a file and the command line's flags become one checked `Options`
unbuilt.py     what nats-server knows and this server does not do yet: refused by name
digest.py      the digest of a configuration, equal to nats-server's
"""
