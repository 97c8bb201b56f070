"""The format of a stream's backup, as nats-server 2.15 writes and reads it (S-229).

An archive is a row of records (records.py) behind a magic: `state.json`, one `consumers/<name>` for
each consumer (consumer_records.py), the messages in order, and a record of zeros that says that
nothing is missing. The whole is compressed as an S2 stream (compression.py). A configuration of the
stream is not in it: it travels beside the archive, with the request.

    reader.py     the pieces of an archive that arrives in blocks of any size
    tar_reader.py the same of the older format, a tar of nats-server's files: read only

Sans-IO: bytes in, bytes out. Messages do not pass through Python one by one: the kernel writes and
reads their records in bulk; records.py is the readable twin that its work is tested against.
"""
