"""Names of what stands in a run folder, for those who make one and for those who load a file of one."""

from __future__ import annotations

MANIFEST = "manifest.json"
"""The sha256 of every file of the run, and what it was made from."""
EXPORTS = "exports"
"""Folder with what was exported beside the model, a folder for each exporter."""
