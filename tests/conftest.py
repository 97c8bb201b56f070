"""Property tests draw the same examples in each run, and no example is judged by the time it takes.

For other examples: pytest --hypothesis-profile=exploring, with --hypothesis-seed=NUMBER to repeat.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "exploring", settings.get_profile("repeatable"), derandomize=False, max_examples=100
)
settings.load_profile("repeatable")
