    # -- what is known at a cut-off -----------------------------------------------------------------------------

    @cached_property
    def examples(self) -> ir.Table:
        """One row per active customer and cut-off, with all features; named by `customer` and `k`."""
        parts = [self._purchases(), self._campaigns(), self._redemptions(), self._stores(), self._customers()]
        return reduce(lambda left, right: _left_join(left, right), [part for part in parts if part is not None])

    @property
    def candidates(self) -> ir.Table:
        """Every customer with a purchase within `active_days` before a cut-off, closed or open: customer, k."""
        days = self.days.select("customer", "day")
        return self.at_cutoffs(days, days.day + 1, days.day + self.settings.active_days).select(*EXAMPLE).distinct()

    def not_over(self) -> ir.IntegerScalar:
        """Number of examples whose horizon is not over yet."""
        candidates = self.candidates
        return candidates.filter(candidates.k >= self.calendar.n_closed).count()

    def _purchases(self) -> ir.Table:
        """The features of purchases: one row per candidate at a closed cut-off."""
        settings = self.settings
        spread = self.before(self.days)
        longest = settings.windows_days[-1]
        sums: dict[str, ir.Value] = {
            "recency_days": spread.age.min(),
            "gap_sum": spread.gap.sum().cast("float64"),
            "gap_squares": (spread.gap * spread.gap).sum().cast("float64"),
            "gap_count": spread.gap.count(),
            "largest": spread.largest.max(),
            "n_weekend": spread.count(where=(spread.day + self.calendar.first_day + 3) % 7 >= 5),
            "n_days": spread.count(),
        }
        for window in settings.windows_days:
            inside = spread.age <= window
            for name in ("n_baskets", "n_lines", "items", "amount", "discount", "coupon"):
                sums[f"{name}_{window}d"] = spread[name].sum(where=inside).fill_null(0).cast("int64")
            sums[f"n_weeks_{window}d"] = _floor_div(spread.age - 1, 7).nunique(where=inside)
        for slug in self.departments:
            amount = spread[f"amount_{slug}"]
            sums[f"amount_{slug}"] = amount.sum(where=spread.age <= longest).fill_null(0).cast("int64")
            sums[f"days_since_{slug}"] = spread.age.min(where=amount > 0)
        sums["department_breadth"] = spread.n_departments.max()
        known = spread.group_by(*EXAMPLE).aggregate(**sums)
        known = known.filter(known.recency_days <= settings.active_days, known.k < self.calendar.n_closed)
        firsts = self.days.group_by("customer").aggregate(first_day=self.days.day.min())
        joined = known.inner_join(firsts, "customer").select(*[known[name] for name in known.columns], firsts.first_day)
        return joined.select(*EXAMPLE, **self._purchase_features(joined))

    def _purchase_features(self, known: ir.Table) -> dict[str, ir.Value]:
        windows = self.settings.windows_days
        longest = windows[-1]
        gap_mean = _ratio(known.gap_sum, known.gap_count)
        variance = _ratio(known.gap_squares, known.gap_count) - gap_mean * gap_mean
        features: dict[str, ir.Value] = {
            "recency_days": known.recency_days,
            "tenure_days": known.k * self.calendar.every_days - known.first_day,
            "gap_mean_days": gap_mean,
            "gap_std_days": ibis.greatest(variance, 0.0).sqrt(),
            "recency_in_gaps": _ratio(known.recency_days, gap_mean),
            "weekend_share": _ratio(known.n_weekend, known.n_days),
            "largest_basket": known.largest / MONEY_SCALE,
            "basket_mean": _ratio(known[f"amount_{longest}d"], known[f"n_baskets_{longest}d"]) / MONEY_SCALE,
            "lines_per_basket": _ratio(known[f"n_lines_{longest}d"], known[f"n_baskets_{longest}d"]),
        }
        for window in windows:
            spend = known[f"amount_{window}d"]
            coupon, discount = known[f"coupon_{window}d"], known[f"discount_{window}d"]
            features |= {
                f"n_baskets_{window}d": known[f"n_baskets_{window}d"],
                f"n_lines_{window}d": known[f"n_lines_{window}d"],
                f"spend_{window}d": spend / MONEY_SCALE,
                f"discount_share_{window}d": _ratio(discount, spend + discount + coupon),
                f"coupon_share_{window}d": _ratio(coupon, spend + discount + coupon),
            }
            if self.settings.quantity:
                features[f"n_items_{window}d"] = known[f"items_{window}d"]
            if window > 7:
                features[f"n_weeks_{window}d"] = known[f"n_weeks_{window}d"]
        for short, long in zip(windows, windows[1:], strict=False):
            # 1 is as before, 2 is twice as much a day as over the longer window.
            features[f"spend_trend_{short}d_{long}d"] = _ratio(known[f"amount_{short}d"] * long, known[f"amount_{long}d"] * short)
            features[f"basket_trend_{short}d_{long}d"] = _ratio(
                known[f"n_baskets_{short}d"] * long, known[f"n_baskets_{long}d"] * short
            )
        if self.departments:
            features["department_breadth"] = known.department_breadth
        for slug in self.departments:
            features[f"share_{slug}"] = _ratio(known[f"amount_{slug}"], known[f"amount_{longest}d"])
            features[f"days_since_{slug}"] = known[f"days_since_{slug}"]
        return features

    def _stores(self) -> ir.Table | None:
        if not self.settings.store:
            return None
        spread = self.before(self.baskets.filter(self.baskets.store.notnull()))
        visits = spread.group_by(*EXAMPLE, "store").aggregate(n=spread.count(), last=spread.age.min())
        example = ibis.window(group_by=EXAMPLE)
        favourite = ibis.window(group_by=EXAMPLE, order_by=[visits.n.desc(), visits["last"].asc(), visits.store.asc()])
        ranked = visits.mutate(
            rank=ibis.row_number().over(favourite),
            favourite_store_share=visits.n.cast("float64") / visits.n.sum().over(example),
            n_stores=visits.count().over(example),
        )
        best = ranked.filter(ranked["rank"] == 0)
        return best.select(*EXAMPLE, "favourite_store_share", "n_stores", favourite_store=best.store)

    def _customers(self) -> ir.Table | None:
        settings = self.settings
        if not settings.customers:
            return None
        facts = self.tables[settings.customers]
        customer = self._column(facts, "customers", "customer")
        texts = {name: facts[name].cast("string") for name in facts.columns if name != settings.customer}
        return facts.select(customer=customer, **texts)

    def _campaigns(self) -> ir.Table | None:
        """Campaigns addressed to the customer that began before the cut-off and have not ended."""
        settings = self.settings
        if not settings.campaigns:
            return None
        sent, about = self.tables[settings.campaigns], self.tables[settings.campaign_descriptions]
        described = about.select(
            campaign=self._column(about, "campaign_descriptions", "campaign"),
            kind=self._column(about, "campaign_descriptions", "campaign_type").cast("string"),
            day=self._day(self._time(about, "campaign_descriptions", "campaign_start")),
            end=self._day(self._time(about, "campaign_descriptions", "campaign_end")),
        )
        addressed = sent.select(
            customer=self._column(sent, "campaigns", "customer"), campaign=self._column(sent, "campaigns", "campaign")
        ).distinct()
        joined = addressed.inner_join(described, "campaign")
        spread = self.at_cutoffs(joined, joined.day + 1, joined.end)
        running = spread.mutate(age=self._age(spread))
        started = described.filter(described.day < 0, described.kind.notnull()).select("kind").distinct().order_by("kind")
        kinds = _slugs([row["kind"] for row in started.to_pyarrow().to_pylist()])
        counts = {f"n_campaigns_{slug}": running.count(where=running.kind == kind) for slug, kind in kinds.items()}
        return running.group_by(*EXAMPLE).aggregate(
            n_campaigns=running.count(), **counts, days_since_campaign_start=running.age.min()
        )

    def _redemptions(self) -> ir.Table | None:
        settings = self.settings
        if not settings.redemptions:
            return None
        table = self.tables[settings.redemptions]
        redeemed = table.select(
            customer=self._column(table, "redemptions", "customer"),
            day=self._day(self._time(table, "redemptions", "redemption_time")),
        )
        spread = self.before(redeemed)
        return spread.group_by(*EXAMPLE).aggregate(n_coupons_redeemed=spread.count(), days_since_redemption=spread.age.min())

def as_examples(history: History, labels: ir.Table, target: Callable[[ir.Table], ir.Value], name: str, summary: str) -> Examples:
    """The examples of a history, with a target made of the labels of its cut-offs.

    Args:
        labels: customer, k and what the target is made of; at most one row per example.
        target: joined table of features and labels → target.
        name: what to call the target.
    """
    settings, tables = history.settings, history.tables
    joined = _left_join(history.examples, labels)
    features = {column: joined[column] for column in history.examples.columns if column not in EXAMPLE}
    counts = [column for column in features if column.startswith(("n_campaigns", "n_coupons"))]
    features |= {column: features[column].fill_null(0) for column in counts}
    unit = tables.units.get(settings.amount, "")
    money = [column for column in features if column.startswith("spend_") and "trend" not in column] + [
        "largest_basket",
        "basket_mean",
    ]
    table = joined.select(
        **{settings.customer: joined.customer, "cutoff": history.cutoff(joined.k), name: target(joined)}, **features
    )
    return Examples(
        table=table,
        roles={settings.customer: "key", "cutoff": "time", name: "target"},
        units={column: unit for column in [*money, *([name] if name == "basket_value" else [])] if unit},
        left_out={"the horizon is not yet over": history.not_over()},
        cutoff="cutoff",
        summary=summary,
    )


