"""hashdb beside the glue that is written where there is no hashdb: faiss for the codes, SQLite for the rest.

Run by `tools/glue`. `store` is the glue, `child` loads into it or into hashdb in a process of its own,
`agreement` checks that all give the same answers, `timing` measures loads, `crash` kills them, `report`
says what came out.
"""
