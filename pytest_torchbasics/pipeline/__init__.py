"""Runs on many machines: what is planned, the steps of each job, and the files that a CI system wants of them.

`config` reads what a project asks for, `plan` makes jobs of it, `steps` says what a job does, in shell. `github` writes
the workflow and `local` runs the same steps on this machine. Knows no torch, no pytest and no command line.
"""
