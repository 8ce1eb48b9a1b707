"""QEMU itself: finding a binary, asking what it can do, owning a process, reading a live guest.

`child` and `binary` are synchronous and light; what speaks to a running guest (`qmp`, `process`,
`live`) is asynchronous and the only home of the package qemu.qmp.
"""
