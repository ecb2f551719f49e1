"""From a table of one's own to an experiment file for it: `look`, `propose`, `text`, and a trial of what was proposed."""

from __future__ import annotations

from shopkit.starter.look import Look, look
from shopkit.starter.propose import Proposal, propose
from shopkit.starter.trial import settle
from shopkit.starter.write import text

__all__ = ["Look", "Proposal", "look", "propose", "settle", "text"]
