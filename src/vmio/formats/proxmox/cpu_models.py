"""The processors that a config can name, and their vendors.

Source: qm.conf(5) of Proxmox VE 9, `reported-model`; the vendors are those of QEMU's own models.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ARM_MODELS", "BUILT_IN", "MODELS_32_BIT", "RENAMED", "VENDORS", "VM_FLAGS"]

_INTEL = """
486 Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server
Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake-Server-v4 Cascadelake-Server-v5
ClearwaterForest Conroe Cooperlake Cooperlake-v2 DiamondRapids GraniteRapids GraniteRapids-v2
GraniteRapids-v3 Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS Icelake-Client
Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX Icelake-Server-v3 Icelake-Server-v4
Icelake-Server-v5 Icelake-Server-v6 Icelake-Server-v7 IvyBridge IvyBridge-IBRS KnightsMill Nehalem
Nehalem-IBRS Penryn SandyBridge SandyBridge-IBRS SapphireRapids SapphireRapids-v2
SapphireRapids-v3 SapphireRapids-v4 SierraForest SierraForest-v2 SierraForest-v3 Skylake-Client
Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server
Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Westmere
Westmere-IBRS core2duo coreduo pentium pentium2 pentium3
"""
_AMD = """
EPYC EPYC-Genoa EPYC-Genoa-v2 EPYC-IBPB EPYC-Milan EPYC-Milan-v2 EPYC-Milan-v3 EPYC-Rome
EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Rome-v5 EPYC-Turin EPYC-v3 EPYC-v4 EPYC-v5 Opteron_G1
Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 athlon phenom
"""
VENDORS: Mapping[str, str] = {
    **dict.fromkeys(_INTEL.split(), "GenuineIntel"),
    **dict.fromkeys(_AMD.split(), "AuthenticAMD"),
    **dict.fromkeys(("host", "kvm32", "kvm64", "max", "qemu32", "qemu64"), ""),
}
"""QEMU's models that a config may name, with their vendor; empty if QEMU chooses the vendor."""

ARM_MODELS = frozenset(
    """
    a64fx cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a710 cortex-a72 cortex-a76 host max
    neoverse-n1 neoverse-n2 neoverse-v1
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)

MODELS_32_BIT = frozenset(
    {"486", "athlon", "coreduo", "kvm32", "pentium", "pentium2", "pentium3", "qemu32"}
)
"""QEMU's models that cannot run the UEFI firmware, which needs 64 bits."""

RENAMED: Mapping[str, str] = {
    "Icelake-Client": "Icelake-Server",
    "Icelake-Client-noTSX": "Icelake-Server-noTSX",
}
"""No such client processor exists, and QEMU has dropped it; the server's is the same."""

_V2 = ("popcnt", "pni", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "abm", "aes", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "x86-64-v2": _V2,
    "x86-64-v2-AES": (*_V2, "aes"),
    "x86-64-v3": _V3,
    "x86-64-v4": _V4,
}
"""Proxmox's own models: a qemu64 with further features."""

VM_FLAGS = frozenset(
    """
    aes amd-no-ssb amd-ssbd hv-evmcs hv-tlbflush ibpb md-clear nested-virt pcid pdpe1gb spec-ctrl
    ssbd virt-ssbd
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""The flags that a VM's config may set; a custom model may set any."""
