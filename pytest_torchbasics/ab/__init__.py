"""Two live workers, blocks in turn: which of two sides is faster, on a machine that others use too. Knows no torch."""

#: Variables that tell a worker where to connect, and with which key.
ADDRESS, KEY = "TORCHBASICS_AB_ADDRESS", "TORCHBASICS_AB_KEY"
#: Both ends must speak the same.
PROTOCOL = 1
