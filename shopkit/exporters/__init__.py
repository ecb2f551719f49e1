"""How a fitted run becomes files that run elsewhere, each checked against the fitted model before it counts."""
