"""What rules say of a domain, in libvirt's words."""

from __future__ import annotations

from vmio import app
from vmio.formats import registry
from vmio.formats.base import ReadContext
from vmio.lint.project import ProjectConfig
from vmio.model.host import Host
from vmio.model.source import Source

DOMAIN = """<domain type='kvm'>
  <name>web</name>
  <memory unit='GiB'>2</memory>
  <vcpu>4</vcpu>
  <iothreads>2</iothreads>
  <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' iothread='2'/>
      <source file='/srv/b.raw'/>
      <target dev='sda' bus='scsi'/>
    </disk>
    <controller type='scsi' model='virtio-scsi'/>
  </devices>
</domain>
"""


def test_thread_of_a_scsi_disk_is_refused_once() -> None:
    """Libvirt refuses the attribute, and no other rule speaks of it; a thread has its number."""
    host = Host()
    guest = registry.read(Source(name="web.xml", data=DOMAIN.encode()), ReadContext(host=host))
    found = {
        each.code: each for each in app.check(guest, host, project=ProjectConfig()).diagnostics
    }

    assert found["CF020"].message == (
        "libvirt refuses the domain: IOThreads not available for bus scsi target sda"
    )
    assert "TH001" not in found
    fix = found["TH004"].fix
    assert fix is not None
    assert fix.message == "write iothread='1' where it should serve, or delete it"
