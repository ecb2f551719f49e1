from __future__ import annotations

from shopkit.report.exports import lines, refused

METRICS = {
    "about": {"accuracy": {"title": "Accuracy"}, "log_loss": {"title": "Log loss"}},
    "metrics": {"test": {"accuracy": {}, "log_loss": {}, "recall": {}}},
}


def test_an_export_is_told_with_size_difference_and_the_first_metrics() -> None:
    quality = {
        "before": {"log_loss": 0.2, "accuracy": 0.91, "recall": 0.5},
        "after": {"log_loss": 0.21, "accuracy": 0.9, "recall": 0.5},
    }
    facts = {
        "path": "exports/int8/model.int8.onnx",
        "size_bytes": 1000,
        "checks": {"probability": 0.034, "label": 0.0},
        "quality": quality,
    }
    (line,) = lines({"int8": facts}, METRICS)
    assert (line.name, line.path, line.bytes, line.difference) == ("int8", "exports/int8/model.int8.onnx", 1000, "3e-02")
    assert line.quality == "Accuracy 0.9100 → 0.9000, Log loss 0.2000 → 0.2100"


def test_what_is_not_known_is_empty() -> None:
    (line,) = lines({"web": {"checks": {}}}, {})
    assert (line.path, line.bytes, line.difference, line.quality) == ("", 0, "0", "")
    assert lines({}, METRICS) == []


def test_what_was_refused_is_told_apart() -> None:
    exports = {"int8": {"refused": "it answers worse", "settings": {}}, "web": {"path": "exports/web", "checks": {}}}
    assert [line.name for line in lines(exports, {})] == ["web"]
    assert refused(exports) == [("int8", "it answers worse")]
