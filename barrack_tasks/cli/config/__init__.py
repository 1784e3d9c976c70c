"""barrack.yaml: one file that says what guards an account, and the deployments that it becomes.

`reading` reads files, `sections` says what may stand in them, `checking` finds what is wrong,
`deployments` makes deployments of what they say, and `changes` compares these with a server.
Nothing here speaks with a server or an account: the commands do.
"""
