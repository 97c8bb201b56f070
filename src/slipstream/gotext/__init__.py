"""Values as Go's standard library writes and reads them, because clients and tools compare what we
say with nats-server's.

encode.py     JSON of an answer: no spaces, `<`, `>` and `&` escaped
objects.py    the declaration of a Go struct: a msgspec Struct whose annotations say what Go's tags
              say; field order and omitempty come from it
decode.py     a request into such a struct: case-insensitive names, unknown fields refused, Go's
              texts for what is wrong
syntax.py     where and why a text is not JSON, in Go's words
nesting.py    JSON that is nested too deep for decoders that recurse
times.py      time.Time: RFC 3339 with nanoseconds, zero time, offsets kept
durations.py  time.Duration: `1h2m3.5s`
quoting.py    strconv.Quote: `%q`
"""
