"""The monitoring port: what /varz, /connz, /jsz and the others answer, in nats-server's field names
(K-202..K-272).

Each page is a function from what is monitored and the request's parameters to plain values.

pages.py       the table of pages: path, what answers, how it is written
varz.py, connz.py, subsz.py, jsz.py, accstatz.py, healthz.py, neighbours.py   the pages
monitored.py   what they show, part by part
http.py, http_request.py    the port: HTTP on one thread for all connections
answering.py   from a request to the bytes of its answer, without keeping others from working
parameters.py  query parameters as Go reads them
render.py      pages as JSON, piece by piece
uptime.py      how long something has lasted, as the pages write it
"""
