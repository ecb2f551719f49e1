import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit_recommend.models.packed import next_steps

histories = st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=5)


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(1, *map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows]), torch.tensor([len(row) for row in rows])


@given(histories, st.integers(0, 3), st.sampled_from([1.0, 0.5]), st.sampled_from([1.0, 3.0]))
@settings(max_examples=60, deadline=None)
def test_every_step_learns_what_came_next(rows: list[list[int]], target: int, recency: float, repeat: float) -> None:
    ids, lengths = padded(rows)
    found = next_steps(ids, lengths, torch.full((len(rows),), target), None, recency, repeat)
    expected = []
    for row in rows:
        for step in range(len(row)):
            following = row[step + 1] if step + 1 < len(row) else target + 2
            if following >= 2:
                again = repeat if following in row[: step + 1] else 1.0
                expected.append((following - 2, again * recency ** (len(row) - 1 - step)))
    assert list(zip(found.item.tolist(), found.weight.tolist(), strict=True)) == expected
    assert int(found.real.sum()) == len(expected)


def test_weights_of_rows_count_at_every_step() -> None:
    ids, lengths = padded([[2, 3], [4]])
    found = next_steps(ids, lengths, torch.tensor([0, 1]), torch.tensor([2.0, 0.5]))
    assert found.weight.tolist() == [2.0, 2.0, 0.5]
