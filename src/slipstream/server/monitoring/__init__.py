"""The monitoring port: what /varz, /connz, /jsz and the others answer, in nats-server's field names
(K-202..K-272).

Each page is a function from the server and the request's parameters to plain values; http.py serves
them.
"""
