"""The commands that people type: arguments in, tables or JSON out.

May use every room below it; nothing uses this one. Command modules import what they run inside the command, so that
`gatewright --help` and `gatewright version` start at once.

    main         the program: all commands, and how failures leave it
    options      options that several commands share
    exits        exit codes and the failure that carries one
    output       tables, JSON, YAML; safe to print on a terminal
    connection   which gateway, as whom
    client       HTTP towards a gateway's management and admin APIs
    documents    files, folders and standard input with one or many documents
    serving      waiting until the data plane serves what was written
    …_commands   one group of commands each
"""
