"""Settings of the built-in tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shopkit.errors import ConfigError


def _within(setting: str, value: float, low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> None:
    inside = (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
    if not inside:
        bounds = f"{'above' if open_low else 'from'} {low:g}"
        if high != float("inf"):
            bounds += f" {'and below' if open_high else 'to'} {high:g}"
        raise ConfigError(f"task.{setting} is {value:g}; it must be {bounds}.")


@dataclass
class BinarySettings:
    """Yes or no: which of two classes a row belongs to."""

    positive: str | int | bool = "auto"
    """The class whose probability is given. `auto` takes 1, true or yes, and else the rarer class."""
    label_smoothing: float = 0.0
    """Share of each label moved to the other class while training; 0 is off."""
    focal_gamma: float = 0.0
    """Focus of the focal loss on badly predicted rows (Lin et al. 2017); 0 is plain cross-entropy."""
    class_weights: Literal["none", "balanced"] = "none"
    """`none`, or `balanced`: each class weighs the same in the loss, however rare. Calibration undoes the shift it causes."""
    positive_weight: float = 1.0
    """Further weight of a positive row in the loss."""
    monitor: Literal["auroc", "average_precision", "log_loss"] = "auroc"
    """Validation metric that early stopping watches: `auroc`, `average_precision` or `log_loss`."""
    calibration: Literal["platt", "none"] = "platt"
    """`platt` fits scale and bias of the scores on the validation part; `none` takes them as they are."""
    threshold: Literal["f1", "cost", "rate", "fixed"] = "f1"
    """How the probability becomes a label: `f1` (best F1 on validation), `cost` (least cost), `rate` (a share is
    flagged) or `fixed`."""
    cost_false_positive: float = 1.0
    """Cost of a negative that is flagged, for `threshold=cost`."""
    cost_false_negative: float = 1.0
    """Cost of a positive that is missed, for `threshold=cost`."""
    cost_true_positive: float = 0.0
    """Cost of a positive that is flagged, for `threshold=cost`; a profit is negative."""
    cost_true_negative: float = 0.0
    """Cost of a negative that is left alone, for `threshold=cost`; a profit is negative."""
    target_rate: float = 0.1
    """Share of rows to flag, for `threshold=rate`."""
    fixed_threshold: float = 0.5
    """Least probability that is flagged, for `threshold=fixed`."""

    def __post_init__(self) -> None:
        _within("label_smoothing", self.label_smoothing, 0, 1, open_high=True)
        _within("focal_gamma", self.focal_gamma, 0, float("inf"))
        _within("positive_weight", self.positive_weight, 0, float("inf"), open_low=True)
        _within("target_rate", self.target_rate, 0, 1, open_low=True, open_high=True)
        _within("fixed_threshold", self.fixed_threshold, 0, 1)
        if self.threshold == "cost" and (
            self.cost_false_positive <= self.cost_true_negative or self.cost_false_negative <= self.cost_true_positive
        ):
            raise ConfigError(
                "task.threshold is 'cost', but a wrong decision costs no more than the right one: "
                f"false positive {self.cost_false_positive:g} against true negative {self.cost_true_negative:g}, "
                f"false negative {self.cost_false_negative:g} against true positive {self.cost_true_positive:g}."
            )


@dataclass
class MulticlassSettings:
    """Which of several classes a row belongs to."""

    label_smoothing: float = 0.0
    """Share of each label spread over all classes while training; 0 is off."""
    class_weights: Literal["none", "balanced"] = "none"
    """`none`, or `balanced`: each class weighs the same in the loss, however rare. Calibration undoes the shift it causes."""
    monitor: Literal["log_loss", "accuracy", "f1_macro", "auroc_macro"] = "log_loss"
    """Validation metric that early stopping watches: `log_loss`, `accuracy`, `f1_macro` or `auroc_macro`."""
    calibration: Literal["temperature", "none"] = "temperature"
    """`temperature` fits one scale and a bias for each class on the validation part; `none` takes the scores as they are."""

    def __post_init__(self) -> None:
        _within("label_smoothing", self.label_smoothing, 0, 1, open_high=True)


@dataclass
class RegressionSettings:
    """How much: a number."""

    loss: Literal["mse", "mae", "huber", "poisson", "tweedie"] = "mse"
    """`mse` predicts the mean, `mae` the median, `huber` something between; `poisson` and `tweedie` predict the mean of
    amounts that are never negative and are often zero."""
    huber_delta: float = 1.0
    """Error, in standard deviations of the scaled target, from which `huber` grows linearly."""
    tweedie_power: float = 1.5
    """Variance power of `tweedie`, between 1 (counts) and 2 (amounts)."""
    target_scale: Literal["standard", "log1p", "none"] = "standard"
    """What the model is trained on: `standard` (mean 0, standard deviation 1), `log1p` (the same of log(1 + target), for
    targets from 0 with a long tail), or `none`. Undone in the exported file; `poisson` and `tweedie` have their own."""
    calibration: Literal["auto", "smearing", "none"] = "auto"
    """`smearing` multiplies by the validation part's mean over the mean prediction, as exp of a mean of logs falls short of
    the mean (Duan 1983), of targets whose mean is above 0; `none` does not; `auto` does for `mse` on `log1p`, and else not."""
    monitor: Literal["rmse", "mae", "wape", "loss"] = "rmse"
    """Validation metric that early stopping watches: `rmse`, `mae`, `wape`, or `loss`, the training loss itself."""
    unit: str = ""
    """Unit or currency of the target, for the report and the exported file."""

    def __post_init__(self) -> None:
        _within("huber_delta", self.huber_delta, 0, float("inf"), open_low=True)
        _within("tweedie_power", self.tweedie_power, 1, 2, open_low=True, open_high=True)


@dataclass
class RankingSettings:
    """In what order: the rows of each group (`view.group`: query, session, customer) by relevance, a number from 0.

    `mlp` and `linear` learn the relevance row by row; `gbdt` of shopkit-gbdt learns the order itself (LambdaMART). Groups
    without a relevant row (above 0) are left out of the metrics. `split=group` keeps groups whole.
    """

    k: int = 10
    """Rows of a group that count: metrics look at the first `k`."""
    gain: Literal["exponential", "linear"] = "exponential"
    """What a row is worth in nDCG: `exponential` (2^relevance − 1, for grades) or `linear` (the relevance, for amounts)."""
    monitor: Literal["ndcg", "mrr", "precision", "recall"] = "ndcg"
    """Validation metric that early stopping watches: `ndcg`, `mrr`, `precision` or `recall`, each at `k`."""

    def __post_init__(self) -> None:
        _within("k", self.k, 1, float("inf"))
