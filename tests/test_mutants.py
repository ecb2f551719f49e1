"""Which survivors of `tests.mutants` are new: those that the list of the same does not have."""

from __future__ import annotations

from pathlib import Path

from tests.mutants import Mutant, unread


def test_what_survives_beside_the_list_is_new(tmp_path: Path) -> None:
    method = Mutant("shopkit.features.ngrams.xǁTrieǁstep", "/copy/ngrams.py", (7, 8), "- a = 1\n+ a = 2").entry()
    function = Mutant("shopkit.features.ngrams.x__whole", "/copy/ngrams.py", (1, 1), "- a = 1\n+ a = 2").entry()
    assert (method, function) == ("## ngrams.py Trie.step\n- a = 1\n+ a = 2", "## ngrams.py _whole\n- a = 1\n+ a = 2")
    listed = tmp_path / "features.txt"
    assert unread([method], listed) == [method]
    listed.write_text(f"{method}\n\n{function}\n", encoding="utf-8")
    assert unread([function, method], listed) == []
    assert unread([method, method], listed) == [method]
