# distutils: language=c++
"""The load generator's compiled core."""
