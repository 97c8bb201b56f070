"""What streams and consumers mean: configurations, rules, the API.

Sans-IO: no socket, clock, thread, random number or event loop; inputs and `now` come in, answers
and proposals go out.

    stream_config.py, consumer_config.py   configurations as clients see them, and the compiled spec
    stream_rules.py, consumer_rules.py     defaults, validation, what an update may change; checked
                      in nats-server's order, so that a request with two faults gets the same
                      answer. docs/update-errors.md lists the errors of updates
    registry.py       what exists: an entry is there from its proposal on (names, overlaps, limits
                      are checked against what is under way), and visible to readers from its commit
                      on. Messages, sequences and pending counts are not there: the kernel is asked
    descriptions.py, api_level.py          what the log keeps beside the spec
    subject_index.py, subjects.py, names.py, limits.py, headers.py, ids.py   what the rules judge by
    schedule.py       the readable twin of the kernel's schedules
    unexpected.py     exceptions that no code expected, seen from the core
    api/              requests in, answers, proposals and advisories out
    archive/          the format of backups
    sourcing/         mirrors and sources: asking an origin for its consumer, waiting, asking again
"""
