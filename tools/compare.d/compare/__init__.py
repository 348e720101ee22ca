"""hashdb beside other similarity search libraries, measured in one run.

Run by `tools/compare`, which prepares the environment. A run has three steps, each in its own module:
`dataset` makes the data and the true answers, `worker` builds and measures one library on one data
set in a process of its own, `report` and `plot` say what came out.
"""
