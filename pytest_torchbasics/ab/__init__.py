"""Two live workers, blocks in turn: which of two sides is faster, on a machine that others use too. Knows no torch."""

#: Both ends must speak the same.
PROTOCOL = 1
