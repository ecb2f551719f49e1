"""What is known of a customer at a cut-off, as features. Shared by the views that predict what a customer does next.

Every value is made of rows before the cut-off; departments and campaign types with columns of their own are those seen before
the first one. It is one ibis expression, and compiles for DuckDB and for Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import reduce
from itertools import pairwise

import ibis
import ibis.expr.types as ir

from shopkit.errors import DataError
from shopkit.views.base import Examples, Parts
from shopkit.views.purchases import EXAMPLE, MONEY_SCALE, Purchases, floor_div, left_join, ratio, slugs

WEEK_DAYS = 7
MONDAY = 3
"""1970-01-01 was a Thursday, 3 days after a Monday."""
COUNTS = ("n_campaigns", "n_coupons")
"""Where these are missing, nothing happened: 0."""
OWN = (*EXAMPLE, "cutoff", "buys", "basket_value")
"""Columns of examples beside the features."""


def history(purchases: Purchases, beside: Collection[str] = ()) -> ir.Table:
    """One row per active customer and closed cut-off, with all features; named by `customer` and `k`.

    Args:
        beside: columns that the view joins to it.
    """
    found = (_bought(purchases), _campaigns(purchases), _redemptions(purchases), _stores(purchases))
    made = reduce(left_join, [part for part in found if part is not None])
    made = made.mutate({name: made[name].fill_null(0) for name in made.columns if name.startswith(COUNTS)})
    facts = _facts(purchases, taken={*OWN, purchases.settings.customer, *made.columns, *beside})
    return made if facts is None else left_join(made, facts)


def _bought(purchases: Purchases) -> ir.Table:
    settings, calendar = purchases.settings, purchases.calendar
    spread = purchases.before(purchases.days)
    in_longest = spread.age <= settings.windows_days[-1]
    sums: dict[str, ir.Value] = {
        "recency_days": spread.age.min(),
        "gap_sum": spread.gap.sum().cast("float64"),
        "gap_squares": (spread.gap * spread.gap).sum().cast("float64"),
        "gap_count": spread.gap.count(),
        "largest": spread.largest.max(),
        "n_weekend": spread.count(where=(spread.day + calendar.first_day + MONDAY) % WEEK_DAYS >= 5),
        "n_days": spread.count(),
        "department_breadth": spread.n_departments.max(),
    }
    # Of the days in one week (counted back from the cut-off) the last, so that counting these counts weeks: engines spill
    # a count, but not a distinct count.
    week = floor_div(spread.age - 1, WEEK_DAYS)
    ends_week = spread.until_next.isnull() | (floor_div(spread.age - spread.until_next - 1, WEEK_DAYS) != week)
    for window in settings.windows_days:
        inside = spread.age <= window
        for name in ("n_baskets", "n_lines", "items", "amount", "discount", "coupon"):
            sums[f"{name}_{window}d"] = spread[name].sum(where=inside).fill_null(0).cast("int64")
        sums[f"n_weeks_{window}d"] = spread.count(where=inside & ends_week)
    for slug in purchases.departments:
        amount = spread[f"amount_{slug}"]
        sums[f"spent_{slug}"] = amount.sum(where=in_longest).cast("int64")
        sums[f"days_since_{slug}"] = spread.age.min(where=amount > 0)
    known = spread.group_by(*EXAMPLE).aggregate(**sums)
    known = known.filter(known.recency_days <= settings.active_days, known.k < calendar.n_closed)
    firsts = purchases.days.group_by("customer").aggregate(first_day=purchases.days.day.min())
    joined = left_join(known, firsts)
    return joined.select(*EXAMPLE, **_features(purchases, joined))


def _features(purchases: Purchases, known: ir.Table) -> dict[str, ir.Value]:
    settings = purchases.settings
    windows = settings.windows_days
    longest = windows[-1]
    gap_mean = ratio(known.gap_sum, known.gap_count)
    # Of whole numbers of days: 0, or too far from it for rounding to make it negative.
    gap_variance = ratio(known.gap_squares, known.gap_count) - gap_mean * gap_mean
    features: dict[str, ir.Value] = {
        "recency_days": known.recency_days,
        "tenure_days": known.k * purchases.calendar.every_days - known.first_day,
        "gap_mean_days": gap_mean,
        "gap_std_days": gap_variance.sqrt(),
        "recency_in_gaps": ratio(known.recency_days, gap_mean),
        "weekend_share": ratio(known.n_weekend, known.n_days),
        "largest_basket": known.largest / MONEY_SCALE,
        "basket_mean": ratio(known[f"amount_{longest}d"], known[f"n_baskets_{longest}d"]) / MONEY_SCALE,
        "lines_per_basket": ratio(known[f"n_lines_{longest}d"], known[f"n_baskets_{longest}d"]),
    }
    for window in windows:
        spend, discount, coupon = (known[f"{name}_{window}d"] for name in ("amount", "discount", "coupon"))
        shelf_value = spend + discount + coupon
        features |= {
            f"n_baskets_{window}d": known[f"n_baskets_{window}d"],
            f"n_lines_{window}d": known[f"n_lines_{window}d"],
            f"spend_{window}d": spend / MONEY_SCALE,
        }
        if settings.quantity:
            features[f"n_items_{window}d"] = known[f"items_{window}d"]
        if settings.discounts:
            features[f"discount_share_{window}d"] = ratio(discount, shelf_value)
        if settings.coupon_discounts:
            features[f"coupon_share_{window}d"] = ratio(coupon, shelf_value)
        if window > WEEK_DAYS:
            features[f"n_weeks_{window}d"] = known[f"n_weeks_{window}d"]
    for short, long in pairwise(windows):
        # Per day, over the same per day in the longer window: 1 is as before, 2 is twice as much.
        for name, counted in (("spend", "amount"), ("basket", "n_baskets")):
            features[f"{name}_trend_{short}d_{long}d"] = ratio(
                known[f"{counted}_{short}d"] * long, known[f"{counted}_{long}d"] * short
            )
    for slug in purchases.departments:
        features[f"share_{slug}"] = ratio(known[f"spent_{slug}"], known[f"amount_{longest}d"])
        features[f"days_since_{slug}"] = known[f"days_since_{slug}"]
    if purchases.departments:
        features["department_breadth"] = known.department_breadth
    return features


def _stores(purchases: Purchases) -> ir.Table | None:
    """The store with most baskets; of equals the one visited last."""
    if not purchases.settings.store:
        return None
    baskets = purchases.baskets
    spread = purchases.before(baskets.filter(baskets.store.notnull()))
    visits = spread.group_by(*EXAMPLE, "store").aggregate(n=spread.count(), latest=spread.age.min())
    whole = ibis.window(group_by=EXAMPLE)
    best_first = ibis.window(group_by=EXAMPLE, order_by=[visits.n.desc(), visits.latest.asc(), visits.store.asc()])
    ranked = visits.mutate(
        place=ibis.row_number().over(best_first),
        favourite_store_share=visits.n.cast("float64") / visits.n.sum().over(whole),
        n_stores=visits.count().over(whole),
    )
    best = ranked.filter(ranked.place == 0)
    return best.select(*EXAMPLE, "favourite_store_share", "n_stores", favourite_store=best.store)


def _facts(purchases: Purchases, taken: Collection[str]) -> ir.Table | None:
    settings = purchases.settings
    if not settings.customers:
        return None
    facts = purchases.tables[settings.customers]
    customer = purchases.column(facts, "customers", "customer")
    names = [name for name in facts.columns if name != settings.customer]
    taken = {name.lower() for name in taken}
    for name in names:
        if name.lower() in taken:
            raise DataError(
                f"view.customers: table '{settings.customers}' has a column '{name}', which is what the view calls a column of "
                "its own. Rename it in the source."
            )
    texts = facts.select(customer=customer, **{name: facts[name].cast("string") for name in names})
    # A customer who is there twice would double the examples.
    return texts.group_by("customer").aggregate(**{name: texts[name].max() for name in names})


def _campaigns(purchases: Purchases) -> ir.Table | None:
    """Campaigns addressed to the customer that began before the cut-off and have not ended."""
    settings = purchases.settings
    if not settings.campaigns:
        return None
    sent, about = purchases.tables[settings.campaigns], purchases.tables[settings.campaign_descriptions]
    described = about.select(
        campaign=purchases.column(about, "campaign_descriptions", "campaign"),
        type=purchases.column(about, "campaign_descriptions", "campaign_type").cast("string"),
        day=purchases.day(purchases.time(about, "campaign_descriptions", "campaign_start")),
        end=purchases.day(purchases.time(about, "campaign_descriptions", "campaign_end")),
    )
    addressed = sent.select(
        customer=purchases.column(sent, "campaigns", "customer"), campaign=purchases.column(sent, "campaigns", "campaign")
    ).distinct()
    joined = addressed.inner_join(described, "campaign")
    running = purchases.at_cutoffs(joined, joined.day + 1, joined.end)
    running = running.mutate(age=purchases.age(running))
    seen = described.filter(described.day < 0, described["type"].notnull()).select("type").distinct()
    types = slugs(sorted(seen.to_pyarrow()["type"].to_pylist()))
    counts = {f"n_campaigns_{slug}": running.count(where=running["type"] == name) for slug, name in types.items()}
    return running.group_by(*EXAMPLE).aggregate(
        n_campaigns=running.count(), **counts, days_since_campaign_start=running.age.min()
    )


def _redemptions(purchases: Purchases) -> ir.Table | None:
    settings = purchases.settings
    if not settings.redemptions:
        return None
    table = purchases.tables[settings.redemptions]
    redeemed = table.select(
        customer=purchases.column(table, "redemptions", "customer"),
        day=purchases.day(purchases.time(table, "redemptions", "redemption_time")),
    )
    spread = purchases.before(redeemed)
    return spread.group_by(*EXAMPLE).aggregate(n_coupons_redeemed=spread.count(), days_since_redemption=spread.age.min())


def as_examples(
    purchases: Purchases,
    labelled: Callable[[Purchases], ir.Table],
    target: str,
    summary: str,
    left_out: dict[str, ir.IntegerScalar],
) -> Examples:
    """Examples of a history that is joined with its labels.

    Args:
        labelled: customer, k, the features, and the target, of these purchases.
        left_out: reason → count, besides the lines of nobody and the examples whose horizon is not over.
    """
    settings = purchases.settings

    def plain(of: Purchases) -> ir.Table:
        found = labelled(of)
        features = [name for name in found.columns if name not in (*EXAMPLE, target)]
        return found.select(
            **{settings.customer: found.customer, "cutoff": of.cutoff(found.k), target: found[target]},
            **{name: found[name] for name in features},
        )

    table = plain(purchases)
    currency = purchases.tables.units.get(settings.amount, "")
    money = ["largest_basket", "basket_mean", "basket_value", *(f"spend_{window}d" for window in settings.windows_days)]
    return Examples(
        table=table,
        roles={settings.customer: "key", "cutoff": "time", target: "target"},
        units={name: currency for name in money if currency and name in table.columns},
        left_out={
            "line without customer or time": purchases.n_unknown,
            "the horizon is not over yet": purchases.n_open,
            **left_out,
        },
        cutoff="cutoff",
        parts=Parts(table, lambda memory: [plain(part) for part in purchases.parts(memory)]),
        summary=summary,
    )
