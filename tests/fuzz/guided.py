"""Fuzzing guided by the coverage of shopkit's own code: python -m tests.fuzz.guided WAY FOLDER [libFuzzer options]

`WAY` is one of `tests.fuzz.worker.WAYS`. The folder takes `corpus/` (content that reached something new) and what broke.
https://github.com/google/atheris
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shopkit"]):
    from shopkit.errors import ShopkitError
    from shopkit.runtime import Predictor  # noqa: F401  # instrumented here, used by the ways
    from shopkit.sources import files  # noqa: F401
    from shopkit.views import materialise, table  # noqa: F401
    from tests.fuzz.worker import WAYS


def main(name: str, folder: Path, *options: str) -> None:
    way, corpus = WAYS[name], folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for i, content in enumerate(way.sound):
        (corpus / f"sound_{i}").write_bytes(content)
    longest = 2 * max(map(len, way.sound))

    def one(content: bytes) -> None:
        try:
            way.take(content, folder)
        except ShopkitError:
            return

    limits = [f"-max_len={longest}", "-timeout=30", "-rss_limit_mb=6000", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
