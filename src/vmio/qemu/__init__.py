"""QEMU itself: finds a binary, asks for its capabilities, owns a process, reads a running guest.

`child` and `binary` are synchronous and light; the modules that speak to a running guest (`qmp`,
`process`, `live`) are asynchronous, and the only ones that use the package qemu.qmp.
"""
