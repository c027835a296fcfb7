"""Reports: a frame in, text out. Knows no torch and no pytest.

`summary` and `comparison` say what a report holds, as blocks of `document`; `terminal`, `markdown` and `html` say how
it looks. A new report is a file beside the former, a new format one beside the latter. `full` is made of all of them,
with a file for each further section (`changes`, `timeline`, `roofs`, `samples`, `environment`), whose pictures `plots`
draws; `step_summary` is the same within a number of bytes.
"""
