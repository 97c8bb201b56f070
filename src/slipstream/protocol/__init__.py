"""What both halves must agree on.

errors.py, errors.json   the table of API errors: codes, texts, one exception
parser.py                the readable twin of the kernel's protocol parser, and its specification
subjects.py, subject_transform.py   the twins of the kernel's subjects and subject transforms
short_hash.py            the hash that stands for names in subjects of acknowledgements
"""
