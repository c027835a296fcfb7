"""What is global in a process: read, put back, and told who changed it.

`of_torch`, `of_process`, `left_over` and `generators` hold the probes, one entry each; `watch.PROBES` is the table.
"""
