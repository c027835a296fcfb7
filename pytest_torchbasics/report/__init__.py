"""Reports: a frame in, text out. Knows no torch and no pytest.

`summary` and `comparison` say what a report holds, as blocks of `document`; `terminal`, `markdown` and `html` say how
it looks. A new report is a file beside the former, a new format one beside the latter.
"""
