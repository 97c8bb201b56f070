"""JSON as Go's encoding/json reads and writes it, because clients compare our answers with
nats-server's.

encode     bytes of an answer: no spaces, `<`, `>` and `&` escaped, field order and omitempty of the
Go structs objects    the declaration of such a struct: a msgspec Struct whose annotations say what
Go's tags say decode     a request into such a struct: case-insensitive names, unknown fields
refused, Go's texts for what is wrong syntax     where and why a text is not JSON, in Go's words
times      RFC 3339 with nanoseconds, zero time, offsets kept
"""
