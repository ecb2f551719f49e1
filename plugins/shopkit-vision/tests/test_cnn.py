"""The network: what is folded at export, what augmentation does, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.to_onnx import to_onnx
from shopkit.runs import Run
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.settings import MulticlassSettings
from shopkit.training.warm_start import Earlier, warm_start
from torch import nn

from shopkit_vision.cnn import CNN
from shopkit_vision.settings import CnnSettings

IMAGE = FeatureBlock("photo", "image", "image", 0, 1, (), shape=(3, 12, 10))
PRICE = FeatureBlock("price", "standardize", "dense", 0, 1, ("price",))
COLOR = FeatureBlock("color", "vocabulary", "ids", 0, 1, ("color",), cardinality=5)


def model(*blocks: FeatureBlock, **settings: object) -> CNN:
    torch.manual_seed(0)
    return CNN(CnnSettings(**{"stem": 8, "widths": [8, 16], **settings}), FeatureSpec((IMAGE, *blocks)), 3)


def batch(n: int = 16) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "image": torch.from_numpy(rng.integers(0, 256, (n, 3, 12, 10)).astype(np.uint8)),
        "dense": torch.from_numpy(rng.normal(size=(n, 1)).astype(np.float32)),
        "ids": torch.from_numpy(rng.integers(0, 5, (n, 1))),
    }


def trained(network: CNN, steps: int = 5) -> CNN:
    """After a few steps, so that no normalisation is at its start."""
    optimizer = torch.optim.AdamW(network.parameter_groups(1e-2, 0.1))
    given, target = batch(), torch.arange(16) % 3
    for _ in range(steps):
        optimizer.zero_grad()
        network.train().training_loss(given, target, None, task()).backward()
        optimizer.step()
    return network.eval()


def task() -> Multiclass:
    found = Multiclass(MulticlassSettings())
    found.fit_target(np.array(["a", "b", "c"] * 5, object))
    return found


@pytest.mark.parametrize("preset", ["residual", "classic"])
def test_what_is_exported_is_folded_and_answers_alike(preset: str) -> None:
    network = trained(model(PRICE, COLOR, preset=preset))
    with torch.no_grad():
        expected, got = network(batch()), network.for_export().eval()(batch())
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    graph = to_onnx(network, network.features).graph
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.for_export().modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_the_classic_network_is_one_convolution_of_32() -> None:
    network = model(preset="classic")
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size) for c in convolutions] == [(32, (3, 3))]
    assert network.head.in_features == 32 * 5 * 4


def test_normalisation_is_learnt_in_training() -> None:
    network = trained(model(), 60)
    image = batch()["image"].float() / 255
    norm = network.normalise.norm
    torch.testing.assert_close(norm.running_mean, image.mean((0, 2, 3)), atol=0.02, rtol=0)
    torch.testing.assert_close(norm.running_var, image.var((0, 2, 3)), atol=0.02, rtol=0)


def test_augmentation_is_in_training_only() -> None:
    network = model(erase=1.0)
    image = batch()["image"]
    network.train()
    assert not torch.equal(network.pixels(image), network.pixels(image))
    network.eval()
    assert torch.equal(network.pixels(image), network.pixels(image))


def test_an_image_and_its_mirror_image_are_answered_alike() -> None:
    network, plain = trained(model(flip_average=True)), trained(model())
    plain.load_state_dict(network.state_dict())
    given = batch()
    mirrored = {**given, "image": given["image"].flip(3)}
    with torch.no_grad():
        mean = (plain(given) + plain(mirrored)) / 2
        assert not torch.allclose(plain(given), plain(mirrored), atol=1e-3)
        for answers in (network(given), network(mirrored), network.for_export().eval()(given)):
            torch.testing.assert_close(answers, mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mixing", [{"mixup": 0.3}, {"cutmix": 1.0}, {"mixup": 0.3, "cutmix": 1.0}])
def test_mixed_images_have_the_loss_of_both_targets(mixing: dict[str, float]) -> None:
    network, given = model(shift=0.0, flip=False, **mixing).train(), batch(6)
    target, same = torch.tensor([0, 1, 2, 0, 1, 2]), torch.full((6,), 1)
    loss = network.training_loss(given, target, torch.ones(6), task())
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    # With a head of zeros scores do not depend on the image, so the proportions must sum to 1.
    torch.testing.assert_close(
        network.training_loss(given, same, None, task()), task().loss(torch.zeros(6, 3) + network.head.bias, same, None)
    )


def test_biases_and_normalisation_do_not_decay() -> None:
    decayed, kept = model(PRICE, COLOR).parameter_groups(0.1, 0.5)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.5, 0.0)
    assert {p.ndim for p in kept["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) == 2


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match="model=cnn reads images, and no feature column holds one"):
        CNN(CnnSettings(), FeatureSpec((PRICE,)), 1)
    small = FeatureBlock("photo", "image", "image", 0, 1, (), shape=(1, 3, 9))
    with pytest.raises(ConfigError, match=r"model.preset=classic wants images of at least 4 × 4 pixels, not \(3, 9\)"):
        CNN(CnnSettings(preset="classic"), FeatureSpec((small,)), 1)


def test_categories_and_columns_keep_their_weights() -> None:
    earlier, more = trained(model(PRICE, COLOR)), FeatureBlock("color", "vocabulary", "ids", 0, 1, ("color",), cardinality=6)
    known = {"color": ["red", "green", "blue"]}
    later = model(more, PRICE)
    before = Earlier(Run(Path("earlier")), known, earlier.state_dict(), earlier.axes(known))
    found = warm_start(later, before, {"color": ["blue", "red", "black", "green"]})
    assert found["grown"] == {"plain.table.weight": {"kept": 5, "new": 1, "gone": 0}}
    assert not found["new"]
    for at, was in ((2, 4), (3, 2), (5, 3)):
        torch.testing.assert_close(later.plain.table.weight[at], earlier.plain.table.weight[was])
