"""Profiles of costs as TOML files, which stand beside a host's description."""

from __future__ import annotations

from cattrs.errors import BaseValidationError

from vmio.bounds import load_toml
from vmio.errors import InputError
from vmio.formats.toml_text import explain, make_converter, render_toml
from vmio.model.source import Source
from vmio.sim.profile import Profile

__all__ = ["parse_profile", "render_profile"]

_MAX_BYTES = 1024 * 1024


def parse_profile(source: Source) -> Profile:
    """Reads a profile.

    Raises:
        InputError: It is not TOML, or a number of it is missing, unknown or cannot be.
    """
    name = source.name
    if len(source.data) > _MAX_BYTES:
        raise InputError(f"{name} is too large for a profile")
    try:
        table = load_toml(source.data)
    except ValueError as error:
        raise InputError(f"{name} is not a profile: {error}") from error
    try:
        return _CONVERTER.structure(table, Profile)
    except BaseValidationError as error:
        raise InputError(f"{name}: {explain(error, 'a profile')}") from error


def render_profile(profile: Profile) -> str:
    """Returns a profile as TOML, which `parse_profile` reads as the same profile."""
    return render_toml(_CONVERTER.unstructure(profile))


_CONVERTER = make_converter()
