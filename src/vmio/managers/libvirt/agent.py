"""The channel to a domain's guest agent, which libvirt alone is connected to.

Source: libvirt 11.3.0, run. It finds the agent's place in the stream by itself, and notes in the
domain's messages that its agent was given commands (`tainted: custom guest agent control commands
issued`), until the domain stops.
"""

from __future__ import annotations

import math
from typing import Final

from vmio.errors import GuestError, InputError, LibvirtError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.visit import visit_domain

__all__ = ["DomainAgentChannel"]

_DEADLINE_S: Final = 45.0
"""Of one call: longer than an agent is waited for, which the daemon does meanwhile."""


class DomainAgentChannel:
    """Passes an agent's commands on by its domain's daemon.

    Args:
        uri: The daemon that runs the domain.
        guest: The domain.
    """

    def __init__(self, uri: str, guest: RunningGuest) -> None:
        self.name = guest.label
        self._uri = uri
        self._guest = guest

    async def ask(self, message: bytes, timeout_s: float) -> bytes:
        """Returns the agent's answer to a command.

        Args:
            message: The command.
            timeout_s: How long to wait for the answer; rounded up to whole seconds.

        Raises:
            GuestError: The agent does not answer, or refuses.
            CapabilityError: This account may only read there.
        """
        text, name = message.decode("ascii"), self._guest.name
        seconds = max(1, math.ceil(timeout_s))
        try:
            return await visit_domain(
                self._uri,
                self._guest,
                lambda connection: connection.run_agent_command(name, text, seconds),
                deadline_s=_DEADLINE_S,
            )
        except (InputError, LibvirtError) as error:
            raise GuestError(error.message, hint=error.hint) from error

    async def tell(self, message: bytes) -> None:  # noqa: ARG002 - as AgentChannel has it
        """Refuses: libvirt waits for an answer to each command.

        Raises:
            GuestError: Always.
        """
        raise GuestError(f"{self.name}: libvirt passes on no command that is not answered")
