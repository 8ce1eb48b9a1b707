"""The model of a guest's storage: frozen values, in QEMU's terms, with no I/O and no policy.

Nothing here belongs to one notation: a Proxmox config, a libvirt domain and a raw QEMU command
line all become a `Vm`, and every layout, planned or seen in a running guest, is a `Topology`.
"""
