"""Two live workers, blocks in turn: which of two sides is faster, on a machine that others use too. Knows no torch."""

#: The variable that names the working tree to a worker of another revision, which must not import from it.
NOT_FROM = "TORCHBASICS_AB_NOT_FROM"
#: Both ends must speak the same.
PROTOCOL = 1
