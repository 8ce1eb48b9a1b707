"""libvirt's own answers to domains, where they lie beside the checkout."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from vmio.errors import PlanError
from vmio.formats import registry
from vmio.formats.base import ReadContext
from vmio.model.host import Host
from vmio.model.source import Source

PEERS = Path(__file__).parents[2].parent / "shared" / "peers" / "libvirt"
SCORER = PEERS / "score.py"
PLACES = 3
"""The scorer's level at which everything is compared but places on PCI."""

pytestmark = pytest.mark.skipif(
    not SCORER.is_file(), reason="libvirt's own answers do not lie beside the checkout"
)


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    """Returns the peers' scorer."""
    spec = spec_from_file_location("libvirt_score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(path: Path, libvirt: str) -> list[str]:
    """Returns the words of a domain's command line."""
    host = Host(libvirt_version=libvirt)
    source = Source(name=path.name, data=path.read_bytes())
    guest = registry.read(source, ReadContext(host=host))
    return [word for option in registry.build_command(guest, host).argv for word in option]


CASES = [
    *((path, PEERS / path.name, "") for path in sorted(PEERS.glob("*.xml"))),
    *((path, PEERS / path.name, "") for path in sorted(PEERS.glob("stored/*.xml"))),
    *((path, PEERS / "libvirt-9.0" / path.name, "9.0") for path in sorted(PEERS.glob("*.xml"))),
]


@pytest.mark.parametrize(
    ("domain", "answer", "libvirt"),
    CASES,
    ids=[f"{path.parent.name}-{path.stem}-{libvirt or 'new'}" for path, _, libvirt in CASES],
)
def test_domain_comes_to_what_libvirt_makes_of_it(
    domain: Path, answer: Path, libvirt: str, scorer: ModuleType
) -> None:
    """A domain has libvirt's storage half, name by name, or its refusal."""
    refused = answer.with_suffix(".err")
    if refused.exists():
        message = scorer.PREFIX.sub("", refused.read_text(encoding="utf-8").strip())
        with pytest.raises(PlanError) as caught:
            build(domain, libvirt)
        assert message in caught.value.message
        return
    expected = json.loads(answer.with_suffix(".json").read_text(encoding="utf-8"))
    told = scorer.storage_half(build(domain, libvirt))
    assert scorer.level(told, PLACES) == scorer.level(expected, PLACES)
