"""A convolutional network on an image, joined with plain columns.

He, Zhang, Ren, Sun: Deep residual learning for image recognition (CVPR 2016); Ioffe, Szegedy: Batch normalization (ICML 2015).
Small enough for a CPU: one residual block in each of three stages.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Axis, Batch, Model
from shopkit.models.labels import id_labels, input_labels
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shopkit_vision import augment
from shopkit_vision.settings import CnnSettings

if TYPE_CHECKING:
    from shopkit.tasks.base import Task

CLASSIC_FILTERS = 32
PLAIN_WIDTH = 64
"""Units that plain columns become before they are joined with the image."""


class Convolution(nn.Module):
    """A convolution and batch normalisation: (batch, n_in, h, w) → (batch, n_out, h / stride, w / stride)."""

    def __init__(self, n_in: int, n_out: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]

    def fold(self) -> None:
        """Multiply the normalisation into the convolution, for good."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        self.conv, self.norm = fuse_conv_bn_eval(self.conv, self.norm), nn.Identity()


class Block(nn.Module):
    """relu(F(x) + x), F two convolutions; where the shape changes, x goes through a 1×1 convolution."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(n_in, n_out, stride=stride), Convolution(n_out, n_out)
        self.skip = nn.Identity() if stride == 1 and n_in == n_out else Convolution(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.skip(x))


class Residual(nn.Sequential):
    """(batch, channels, h, w) → (batch, width): a stem, stages that halve the sides, and the average over the image."""

    def __init__(self, settings: CnnSettings, channels: int) -> None:
        layers: list[nn.Module] = [Convolution(channels, settings.stem), nn.ReLU()]
        width = settings.stem
        for n_out in settings.widths:
            for at in range(settings.blocks):
                layers.append(Block(width, n_out, stride=1 if at else 2))
                width = n_out
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.width = width


class Classic(nn.Sequential):
    """(batch, channels, h, w) → (batch, width): one 3×3 convolution of 32, ReLU, 2×2 pooling."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        channels, height, width = shape
        super().__init__(nn.Conv2d(channels, CLASSIC_FILTERS, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.width = CLASSIC_FILTERS * ((height - 2) // 2) * ((width - 2) // 2)


class Plain(nn.Module):
    """The columns beside the image: `dense` and `ids` → (batch, width), by one layer."""

    offsets: Tensor

    def __init__(self, features: FeatureSpec, dim: int) -> None:
        super().__init__()
        sizes = torch.tensor(features.cardinalities, dtype=torch.int64)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)
        self.table = nn.Embedding(int(sizes.sum()), dim) if features.n_ids else None
        n_in = features.n_dense + features.n_ids * dim
        self.layer = nn.Linear(n_in, PLAIN_WIDTH) if n_in else None
        self.width = PLAIN_WIDTH if n_in else 0

    def forward(self, batch: Batch) -> Tensor:
        parts = [batch["dense"]] if "dense" in batch else []
        if self.table is not None:
            parts.append(self.table(batch["ids"] + self.offsets).flatten(1))
        assert self.layer is not None
        return F.relu(self.layer(torch.cat(parts, 1)))


class Levels(nn.Module):
    """uint8 levels → scale · level + shift for each channel: what normalisation comes to once it is learnt."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        self.register_buffer("scale", (scale / 255).view(-1, 1, 1))
        self.register_buffer("shift", (-norm.running_mean * scale).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return image.to(self.scale.dtype) * self.scale + self.shift


class Normalise(nn.Module):
    """uint8 levels → mean 0 and variance 1 for each channel, by what the training part says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, image: Tensor) -> Tensor:
        assert self.norm.running_mean is not None
        return self.norm(image.to(self.norm.running_mean.dtype) / 255)  # type: ignore[no-any-return]


class CNN(Model):
    """Scores of the image's features and, joined with them, those of plain columns."""

    settings: CnnSettings

    def __init__(self, settings: CnnSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs)
        if features.image is None:
            raise ConfigError(
                "model=cnn reads images, and no feature column holds one. Use a source of images (image_folder, "
                "fashion_mnist), or choose model=mlp."
            )
        shape = features.image.shape
        smallest = 4 if settings.preset == "classic" else 1
        if min(shape[1:]) < smallest:
            raise ConfigError(
                f"model.preset={settings.preset} wants images of at least {smallest} × {smallest} pixels, not {shape[1:]}."
            )
        self.normalise: nn.Module = Normalise(shape[0])
        self.body = Classic(shape) if settings.preset == "classic" else Residual(settings, shape[0])
        self.plain = Plain(features, settings.category_dim)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(self.body.width + self.plain.width, n_outputs)
        nn.init.zeros_(self.head.weight)
        # Convolutions on the CPU are a third faster so.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch takes it, its types lack it

    def forward(self, batch: Batch) -> Tensor:
        x = self.pixels(batch["image"])
        scores = self.scores(x, batch)
        if self.training or not self.settings.flip_average:
            return scores
        return (scores + self.scores(x.flip(3), batch)) / 2

    def pixels(self, image: Tensor) -> Tensor:
        """uint8 (batch, channels, h, w) → float, normalised, and augmented in training."""
        settings = self.settings
        if self.training and (settings.shift or settings.flip):
            image = augment.moved(image, settings.shift, settings.flip)
        x: Tensor = self.normalise(image)
        return augment.erased(x, settings.erase) if self.training and settings.erase else x

    def scores(self, x: Tensor, batch: Batch) -> Tensor:
        kept = self.dropout(self.body(x))  # (batch, width)
        if self.plain.width:
            kept = torch.cat([kept, self.plain(batch)], 1)
        return self.head(kept)  # type: ignore[no-any-return]

    def training_loss(self, batch: Batch, target: Tensor, weight: Tensor | None, task: Task) -> Tensor:
        """With mixup or CutMix the loss against both targets, in the images' proportion. Plain columns stay the row's own."""
        settings = self.settings
        if not (settings.mixup or settings.cutmix):
            return super().training_loss(batch, target, weight, task)
        x = self.pixels(batch["image"])
        other = torch.randperm(len(x), device=x.device)
        paste = settings.cutmix > 0 and (settings.mixup == 0 or bool(torch.rand(()) < 0.5))
        x, own = augment.pasted(x, other, settings.cutmix) if paste else augment.blended(x, other, settings.mixup)
        scores = self.scores(x, batch)
        of_other = task.loss(scores, target[other], None if weight is None else weight[other])
        return own * task.loss(scores, target, weight) + (1 - own) * of_other

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        dense, ids = self.features.dense, self.features.ids
        return {
            "plain.table.weight": Axis(id_labels(ids, vocabularies)),
            "plain.layer.weight": Axis(input_labels(dense, ids, self.settings.category_dim), dim=1),
        }

    def start_from(self, bias: Tensor) -> None:
        with torch.no_grad():
            self.head.bias.copy_(bias)

    def for_export(self) -> nn.Module:
        """Normalisation multiplied into the convolutions, and that of the image into one scale and shift."""
        exported: CNN = copy.deepcopy(self).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        assert isinstance(exported.normalise, Normalise)
        exported.normalise = Levels(exported.normalise.norm)
        for module in list(exported.modules()):
            if isinstance(module, Convolution):
                module.fold()
        return exported

    def entries(self) -> dict[str, nn.Module]:
        return {"image": self.normalise}

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Weights decay; biases and normalisation do not."""
        parameters = list(self.parameters())
        return [
            {"params": [value for value in parameters if value.ndim > 1], "lr": lr, "weight_decay": weight_decay},
            {"params": [value for value in parameters if value.ndim == 1], "lr": lr, "weight_decay": 0.0},
        ]
