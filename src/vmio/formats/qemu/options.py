"""The names of QEMU's options, which distinguish a command line from other texts with dashes.

Source: `-help` of QEMU 0.12, 2.0, 7.2 and 10.0.
"""

from __future__ import annotations

from typing import Final

__all__ = ["OPTIONS", "TELLING", "TOLD"]

TELLING: Final = frozenset(
    """
    accel audiodev blockdev boot cdrom chardev cpu device display drive fsdev global hda incoming
    kernel machine netdev nic object overcommit pidfile readconfig rtc sandbox smbios smp tpmdev
    vga virtfs vnc qmp serial monitor usbdevice append enable-kvm nographic nodefaults
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Options that hardly any other program has."""
TOLD: Final = frozenset(
    """
    accel audiodev blockdev chardev device drive fsdev global machine mon netdev nic object
    overcommit readconfig sandbox smbios smp tpmdev
    """.split()  # noqa: SIM905 - as above
)
"""Options that need a value in every QEMU."""
OPTIONS: Final = TELLING | frozenset(
    """
    D L M S acpitable action add-fd alt-grab audio audio-help balloon bios bt chroot clock compat
    ctrl-grab curses d daemonize debugcon dfilter drive-option dtb dump-vmstate echr
    enable-fips enable-hax enable-sync-profile fda fdb full-screen fw_cfg g gdb h hdachs hdb hdc
    hdd help icount id initrd iscsi jitdump k loadstate loadvm localtime m mem-path mem-prealloc
    mon msg mtdblock name net no-acpi no-fd-bootchk no-frame no-hpet no-kvm no-kvm-irqchip
    no-kvm-pit no-kvm-pit-reinjection no-quit no-reboot no-shutdown no-user-config nodefconfig
    numa old-param only-migratable option-rom p parallel pcidevice perfmap pflash plugin portrait
    preconfig prom-env qmp-pretty qtest qtest-log rotate run-with runas s sd sdl seed semihosting
    semihosting-config set shim show-cursor singlestep snapshot soundhw spice startdate
    std-vga tb-size tdf trace uuid usb version watchdog watchdog-action win2k-hack
    writeconfig xen-attach xen-domid xen-domid-restrict
    """.split()  # noqa: SIM905 - as above
)
