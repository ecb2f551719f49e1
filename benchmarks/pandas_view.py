"""The view `purchase_within` in plain pandas, as one writes it in a notebook: what scale.py sets beside shopkit.

    python benchmarks/pandas_view.py TABLES.json EXAMPLES.parquet

compares its answer, column by column, with the examples of a run over the same tables.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

WINDOWS, ACTIVE, HORIZON, EVERY, N_DEPARTMENTS = (7, 28, 56, 112), 56, 7, 7, 8
ZERO = pd.Timestamp("1970-01-01")


def examples(tables: dict[str, str]) -> pd.DataFrame:
    """One row per customer and cut-off."""
    lines = pd.concat([pd.read_parquet(path) for path in _files(tables["transactions"])], ignore_index=True)
    start, end = lines.transaction_timestamp.min().normalize(), lines.transaction_timestamp.max().normalize()
    first = start + pd.Timedelta(days=max(WINDOWS))
    n_cutoffs = (end - pd.Timedelta(days=HORIZON) - first).days // EVERY + 1
    lines["day"] = (lines.transaction_timestamp.dt.normalize() - first).dt.days
    lines = lines.merge(pd.read_parquet(tables["products"])[["product_id", "department"]], on="product_id", how="left")
    lines["coupon"] = lines.coupon_disc + lines.coupon_match_disc
    past = lines[lines.day < 0].department.value_counts()
    departments = sorted(past.index, key=lambda name: (-past[name], name))[:N_DEPARTMENTS]

    keys = ["household_id", "day"]
    days = lines.groupby(keys).agg(
        n_lines=("product_id", "size"),
        items=("quantity", "sum"),
        amount=("sales_value", "sum"),
        discount=("retail_disc", "sum"),
        coupon=("coupon", "sum"),
    )
    by_department = lines[lines.department.isin(departments)].pivot_table("sales_value", keys, "department", "sum", fill_value=0)
    days = days.join(by_department.add_prefix("amount ")).fillna(0)
    baskets = lines.groupby([*keys, "basket_id"]).agg(
        amount=("sales_value", "sum"), store=("store_id", "min"), n_departments=("department", "nunique")
    )
    baskets = baskets.reset_index()
    of_day = {"n_baskets": ("amount", "size"), "largest": ("amount", "max"), "n_departments": ("n_departments", "max")}
    days = days.join(baskets.groupby(keys).agg(**of_day)).reset_index()
    days["gap"] = days.groupby("household_id").day.diff()

    spread = _at_cutoffs(days, n_cutoffs)
    example = ["household_id", "k"]
    spread["week"] = (spread.age - 1) // 7
    spread["gap_squared"] = spread.gap**2
    spread["weekend"] = (spread.day + (first - ZERO).days + 3) % 7 >= 5
    found = spread.groupby(example).agg(
        recency_days=("age", "min"),
        gap_mean_days=("gap", "mean"),
        gap_squares=("gap_squared", "mean"),
        weekend_share=("weekend", "mean"),
        largest_basket=("largest", "max"),
        department_breadth=("n_departments", "max"),
    )
    found["gap_std_days"] = np.sqrt((found.pop("gap_squares") - found.gap_mean_days**2).clip(lower=0).fillna(0))
    found["recency_in_gaps"] = found.recency_days / found.gap_mean_days
    for window in WINDOWS:
        inside = spread[spread.age <= window]
        sums = inside.groupby(example)[["n_baskets", "n_lines", "items", "amount", "discount", "coupon"]].sum()
        sums = sums.reindex(found.index, fill_value=0)
        shelf = (sums.amount + sums.discount + sums.coupon).replace(0, np.nan)
        found[f"n_baskets_{window}d"], found[f"n_lines_{window}d"] = sums.n_baskets, sums.n_lines
        found[f"spend_{window}d"], found[f"n_items_{window}d"] = sums.amount, sums["items"]
        found[f"discount_share_{window}d"], found[f"coupon_share_{window}d"] = sums.discount / shelf, sums.coupon / shelf
        if window > 7:
            found[f"n_weeks_{window}d"] = inside.groupby(example).week.nunique().reindex(found.index, fill_value=0)
    longest = WINDOWS[-1]
    found["basket_mean"] = found[f"spend_{longest}d"] / found[f"n_baskets_{longest}d"]
    found["lines_per_basket"] = found[f"n_lines_{longest}d"] / found[f"n_baskets_{longest}d"]
    for short, long in pairwise(WINDOWS):
        for name, counted in (("spend", "spend"), ("basket", "n_baskets")):
            whole = (found[f"{counted}_{long}d"] * short).replace(0, np.nan)
            found[f"{name}_trend_{short}d_{long}d"] = found[f"{counted}_{short}d"] * long / whole
    for department in departments:
        slug, amount = department.lower().replace(" ", "_").replace("-", "_"), f"amount {department}"
        found[f"share_{slug}"] = spread.groupby(example)[amount].sum() / found[f"spend_{longest}d"]
        found[f"days_since_{slug}"] = spread[spread[amount] > 0].groupby(example).age.min()
    found = found[found.recency_days <= ACTIVE].reset_index()
    found["tenure_days"] = found.k * EVERY - found.household_id.map(days.groupby("household_id").day.min())

    visits = _at_cutoffs(baskets, n_cutoffs).groupby([*example, "store"]).agg(n=("age", "size"), latest=("age", "min"))
    visits = (
        visits.reset_index()
        .astype({"store": str})
        .sort_values([*example, "n", "latest", "store"], ascending=[True, True, False, True, True])
    )
    by_example = visits.groupby(example)
    visits["favourite_store_share"] = visits.n / by_example.n.transform("sum")
    visits["n_stores"] = by_example.n.transform("size")
    best = visits.drop_duplicates(example).rename(columns={"store": "favourite_store"}).drop(columns=["n", "latest"])
    found = found.merge(best, on=example, how="left")
    found = found.merge(pd.read_parquet(tables["demographics"]), on="household_id", how="left")
    found = _with_campaigns(found, tables, first, n_cutoffs)

    bought = set(zip(days.household_id, days.day, strict=True))
    ahead = np.zeros(len(found), bool)
    for offset in range(HORIZON):
        ahead |= [pair in bought for pair in zip(found.household_id, found.k * EVERY + offset, strict=True)]
    found["buys"] = ahead.astype(int)
    found["cutoff"] = first + pd.to_timedelta(found.pop("k") * EVERY, unit="D")
    return found.sort_values(["cutoff", "household_id"], ignore_index=True)


def _at_cutoffs(table: pd.DataFrame, n_cutoffs: int) -> pd.DataFrame:
    """Each row once for every cut-off that it lies before, by as long as the longest window at most."""
    first = np.maximum(-(-(table.day + 1) // EVERY), 0)
    last = np.minimum((table.day + max(WINDOWS)) // EVERY, n_cutoffs - 1)
    times = np.maximum(last - first + 1, 0).to_numpy()
    spread = table.loc[table.index.repeat(times)].reset_index(drop=True)
    offset = np.arange(len(spread)) - np.repeat(np.cumsum(times) - times, times)
    spread["k"] = np.repeat(first.to_numpy(), times) + offset
    spread["age"] = spread.k * EVERY - spread.day
    return spread


def _with_campaigns(found: pd.DataFrame, tables: dict[str, str], first: pd.Timestamp, n_cutoffs: int) -> pd.DataFrame:
    example = ["household_id", "k"]
    about = pd.read_parquet(tables["campaign_descriptions"])
    for name in ("start", "end"):
        about[name] = (about[f"{name}_date"] - first).dt.days
    sent = pd.read_parquet(tables["campaigns"]).drop_duplicates().merge(about, on="campaign_id")
    running = sent.merge(pd.DataFrame({"k": range(n_cutoffs)}), how="cross")
    running["age"] = running.k * EVERY - running.start
    running = running[(running.age >= 1) & (running.k * EVERY <= running.end)]
    counted = running.groupby(example).agg(n_campaigns=("age", "size"), days_since_campaign_start=("age", "min"))
    for kind in sorted(about[about.start < 0].campaign_type.unique()):
        of_kind = running[running.campaign_type == kind].groupby(example).size()
        counted[f"n_campaigns_{kind.lower().replace(' ', '_')}"] = of_kind.reindex(counted.index, fill_value=0)
    redeemed = pd.read_parquet(tables["coupon_redemptions"])
    redeemed["day"] = (redeemed.redemption_date.dt.normalize() - first).dt.days
    redeemed = _at_cutoffs(redeemed[["household_id", "day"]], n_cutoffs).groupby(example)
    redeemed = redeemed.agg(n_coupons_redeemed=("age", "size"), days_since_redemption=("age", "min"))
    found = found.merge(counted.reset_index(), on=example, how="left").merge(redeemed.reset_index(), on=example, how="left")
    counts = [name for name in found.columns if name.startswith(("n_campaigns", "n_coupons"))]
    return found.fillna(dict.fromkeys(counts, 0))


def _files(pattern: str) -> list[Path]:
    path = Path(pattern)
    return sorted(path.parent.glob(path.name))


def main() -> int:
    mine, theirs = examples(json.loads(Path(sys.argv[1]).read_text())), pd.read_parquet(sys.argv[2])
    theirs = theirs.assign(household_id=theirs.household_id.astype(int)).sort_values(
        ["cutoff", "household_id"], ignore_index=True
    )
    differing = 0
    for name in theirs.columns:
        if name == "cutoff":
            continue
        left, right = mine[name], theirs[name]
        if right.dtype.kind in "OTU" or str(right.dtype) in ("str", "string"):
            same = (left.fillna("").astype(str).str.removesuffix(".0") == right.fillna("").astype(str)).all()
        else:
            same = np.allclose(left.astype(float), right.astype(float), rtol=1e-4, atol=1e-3, equal_nan=True)
        differing += not same
        if not same:
            print(f"{name}: differs\n{pd.DataFrame({'pandas': left, 'shopkit': right}).head()}")
    print(f"{len(mine):,} and {len(theirs):,} examples, {len(theirs.columns)} columns, {differing} differ")
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
