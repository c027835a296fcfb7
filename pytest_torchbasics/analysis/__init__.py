"""Tables out of results: frames in, frames out. Knows no torch and no pytest."""
