"""A made-up grocer of any size, with the tables of The Complete Journey.

    python benchmarks/made_shop.py FOLDER [--factor 10] [--seed 0]

One times is as many purchased lines as the real year has, 1,469,307. Households, products, campaigns and redemptions grow with
the lines, so what is known of one household stays alike. Every value is a hash of its row's number and the seed: equal factors
and seeds give equal rows, whatever the number of threads, and nothing is held in memory.

What can be learnt: households shop at rates of their own (a skewed share of their neighbours' baskets), on weekdays of their own,
half of them every other week only, and for a part of the year only; and they have departments of their own. Lines stand in an
order that has nothing to do with household or time, which is the hardest there is for an engine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import duckdb

LINES = 1_469_307
HOUSEHOLDS, PRODUCTS, SENT, REDEEMED = 2_469, 92_331, 6_589, 2_102
STORES, CAMPAIGNS = 457, 27
LINES_A_PAIR = 20
"""Lines of two baskets together: 1 to 19 in the first, the others in the second."""
NEIGHBOURS = 8
"""Households that share baskets, the first of them the most."""
STRIDE = 1_000_003
"""A prime: steps of it visit every line once."""
LINES_A_FILE = 15_000_000
# By twenties: the department of a product is its number's remainder.
DEPARTMENTS = (
    *["GROCERY"] * 8, *["DRUG GM"] * 3, *["PRODUCE"] * 2, *["MEAT"] * 2, "MEAT-PCKGD", "DELI", "PASTRY", "NUTRITION", "FUEL",
)  # fmt: skip

FUNCTIONS = """
CREATE MACRO u(a, salt) AS (hash(a, salt + {seed} * 1000003) % 1000000) / 1e6;
CREATE MACRO pick(a, salt, n) AS (hash(a, salt + {seed} * 1000003) % n)::BIGINT;
"""

TRANSACTIONS = """
WITH numbered AS (SELECT (i * {stride}) % {n} AS line FROM range({first}, {last}) t(i)),
baskets AS (
    SELECT line, 2 * (line // {pair}) + (line % {pair} > pick(line // {pair}, 1, {pair} - 1))::BIGINT AS basket FROM numbered
),
households AS (
    SELECT *, basket // {block} AS block,
        least({n_households}, 1 + {neighbours} * (basket // {block}) + floor({neighbours} * u(basket, 2) ** 2)::BIGINT)
            AS household
    FROM baskets
),
rhythm AS (
    SELECT *, floor(52 * u(household, 3) * 0.5) AS first_week, floor(20 + 32 * u(household, 4)) AS n_weeks FROM households
),
weeks AS (
    SELECT *, least(51, first_week + floor(n_weeks * u(basket, 5)))::BIGINT AS any_week FROM rhythm
),
days AS (
    SELECT *,
        CASE WHEN u(household, 6) < 0.5 THEN least(51, any_week - any_week % 2 + pick(household, 7, 2)) ELSE any_week END
            AS week_,
        CASE WHEN u(basket, 8) < 0.6 THEN pick(household, 9, 7) ELSE pick(basket, 10, 7) END AS weekday
    FROM weeks
),
products AS (
    SELECT *,
        CASE WHEN u(line, 11) < 0.3 THEN pick(household, 12, 20) ELSE pick(line, 13, 20) END
            + 20 * floor({n_products} // 20 * u(line, 14) ** 3)::BIGINT AS product,
        1 + (u(line, 15) < 0.2)::BIGINT AS pieces
    FROM days
),
prices AS (
    SELECT *, round((0.5 + 8 * u(product, 16) ** 2) * (0.8 + 0.4 * u(household, 17)) * pieces, 2)::DOUBLE AS price FROM products
)
SELECT household AS household_id,
    1 + CASE WHEN u(basket, 18) < 0.8 THEN pick(household, 19, {stores}) ELSE pick(basket, 20, {stores}) END AS store_id,
    31000000000 + basket AS basket_id, 25000 + product AS product_id, pieces AS quantity, price AS sales_value,
    CASE WHEN u(line, 21) < 0.4 THEN round(price * 0.2, 2) ELSE 0 END::DOUBLE AS retail_disc,
    CASE WHEN u(line, 22) < 0.02 THEN 0.5 ELSE 0 END::DOUBLE AS coupon_disc,
    CASE WHEN u(line, 23) < 0.005 THEN 0.5 ELSE 0 END::DOUBLE AS coupon_match_disc,
    week_ + 1 AS week,
    TIMESTAMP '2017-01-01 12:00:00' + to_seconds(86400 * (7 * week_ + weekday) + pick(basket, 24, 36000)) AS transaction_timestamp
FROM prices
"""

OTHERS = {
    "products": """
        SELECT 25000 + i AS product_id, 1 + pick(i, 31, 6000) AS manufacturer_id, {departments}[1 + i % 20] AS department,
            CASE WHEN u(i, 32) < 0.7 THEN 'National' ELSE 'Private' END AS brand,
            {departments}[1 + i % 20] || ' ' || pick(i, 33, 15) AS product_category,
            {departments}[1 + i % 20] || ' ' || pick(i, 34, 120) AS product_type, pick(i, 35, 64) || ' OZ' AS package_size
        FROM range({n_products}) t(i)""",
    "demographics": """
        SELECT i + 1 AS household_id,
            ['19-24', '25-34', '35-44', '45-54', '55-64', '65+'][1 + pick(i + 1, 41, 6)] AS age,
            ['Under 15K', '25-34K', '35-49K', '50-74K', '100K+'][1 + floor(5 * u(i + 1, 17))::BIGINT] AS income,
            ['Homeowner', 'Renter', NULL][1 + pick(i + 1, 43, 3)] AS home_ownership,
            ['Married', 'Unmarried', NULL][1 + pick(i + 1, 44, 3)] AS marital_status,
            (1 + pick(i + 1, 45, 5))::VARCHAR AS household_size,
            ['1 Adult No Kids', '2 Adults No Kids', '2 Adults Kids'][1 + pick(i + 1, 46, 3)] AS household_comp,
            ['0', '1', '2', '3+'][1 + pick(i + 1, 47, 4)] AS kids_count
        FROM range({n_households}) t(i) WHERE i % 3 = 0""",
    "campaigns": """
        SELECT DISTINCT 1 + pick(i, 51, {campaigns}) AS campaign_id, 1 + pick(i, 52, {n_households}) AS household_id
        FROM range({n_sent}) t(i) ORDER BY ALL""",
    "campaign_descriptions": """
        SELECT i + 1 AS campaign_id, ['Type A', 'Type B', 'Type C'][1 + i % 3] AS campaign_type,
            TIMESTAMP '2016-12-20' + to_days((13 * i)::INTEGER) AS start_date,
            TIMESTAMP '2016-12-20' + to_days((13 * i + 30)::INTEGER) AS end_date
        FROM range({campaigns}) t(i)""",
    "coupon_redemptions": """
        SELECT 1 + pick(i, 61, {n_households}) AS household_id, 10000000000 + pick(i, 62, 1000) AS coupon_upc,
            1 + pick(i, 63, {campaigns}) AS campaign_id,
            TIMESTAMP '2017-01-01' + to_days(pick(i, 64, 364)::INTEGER) AS redemption_date
        FROM range({n_redeemed}) t(i)""",
}


def write(folder: Path, factor: int, seed: int = 0, memory: str = "2GB", threads: int = 0) -> dict[str, str]:
    """Make the shop in the folder. Returns table → path or glob of its Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    n, n_households = LINES * factor, HOUSEHOLDS * factor
    n_baskets = 2 * (n // LINES_A_PAIR + 1)
    values = {
        "n": n,
        "n_households": n_households,
        "n_products": PRODUCTS * factor,
        "n_sent": SENT * factor,
        "n_redeemed": REDEEMED * factor,
        "block": -(-n_baskets * NEIGHBOURS // n_households),
        "pair": LINES_A_PAIR,
        "neighbours": NEIGHBOURS,
        "stride": STRIDE,
        "stores": STORES,
        "campaigns": CAMPAIGNS,
        "departments": "[" + ", ".join(f"'{name}'" for name in DEPARTMENTS) + "]",
    }
    tables = {}
    with tempfile.TemporaryDirectory(dir=folder) as spill, duckdb.connect() as engine:
        engine.execute(f"SET memory_limit = '{memory}'; SET temp_directory = '{spill}'; SET preserve_insertion_order = false")
        if threads:
            engine.execute(f"SET threads = {threads}")
        engine.execute(FUNCTIONS.format(seed=seed))
        for name, sql in OTHERS.items():
            tables[name] = str(folder / f"{name}.parquet")
            engine.execute(f"COPY ({sql.format(**values)}) TO '{tables[name]}' (FORMAT parquet, COMPRESSION zstd)")
        for number, first in enumerate(range(0, n, LINES_A_FILE)):
            sql = TRANSACTIONS.format(**values, first=first, last=min(n, first + LINES_A_FILE))
            path = folder / f"transactions-{number:03}.parquet"
            engine.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    return {**tables, "transactions": str(folder / "transactions-*.parquet")}


def source(tables: dict[str, str]) -> list[str]:
    """The settings of a run that reads these tables."""
    listed = ", ".join(f"{name}: '{path}'" for name, path in tables.items())
    return ["source=files", "source.path=''", f"source.tables={{{listed}}}", "source.time_zone=America/New_York"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factor", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name, path in write(asked.folder, asked.factor, asked.seed).items():
        print(f"{name}: {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
