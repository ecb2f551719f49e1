"""A shop's purchases, set against cut-offs.

Days are whole numbers counted from the first cut-off, so a customer's day can be set against every cut-off it matters to by
arithmetic (no range join), and money is summed in whole ten-thousandths, so that the order of adding changes nothing.
One ibis expression; it compiles for DuckDB and for Spark.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import chain, count

import ibis
import ibis.expr.types as ir

from shopkit.errors import DataError, nearest
from shopkit.sources.base import Tables
from shopkit.views.settings import HistorySettings

MONEY_SCALE = 10_000
EXAMPLE = ("customer", "k")
"""What an example is, inside this module: a customer and the number of a cut-off."""
TOTALS = ("items", "amount", "discount", "coupon")
"""What lines add up to."""
BYTES_A_LINE = 128
"""Memory that the history of a line's customer takes an engine, of what it keeps and does not spill."""


@dataclass(frozen=True)
class Calendar:
    """The cut-offs: midnights, `every_days` apart."""

    first: dt.date
    every_days: int
    n_closed: int
    """Cut-offs whose horizon is over; these make examples."""
    n_open: int
    """Cut-offs after those, whose horizon is not over yet."""

    def __len__(self) -> int:
        return self.n_closed + self.n_open

    @property
    def first_day(self) -> int:
        """Days from 1970-01-01 to the first cut-off."""
        return (self.first - dt.date(1970, 1, 1)).days


class Purchases:
    """The purchases of a shop's customers, by line, basket and day, and the cut-offs they lie before or after.

    Args:
        of_interest: departments to follow however little is bought in them.
        category: column of the products that the lines get as `category`; empty takes the department.
        calendar: the cut-offs; None takes those that the settings and the data give.

    Raises:
        DataError: a table or column that is missing or of another type, or no cut-off that fits the data.
    """

    def __init__(
        self,
        settings: HistorySettings,
        tables: Tables,
        of_interest: Sequence[str] = (),
        category: str = "",
        calendar: Calendar | None = None,
    ) -> None:
        self.settings = settings
        self.category = category
        self.of_interest = of_interest
        self.tables = tables
        self.orders = tables[settings.orders]
        self.calendar = calendar or self._calendar()

    # -- the cut-offs -------------------------------------------------------------------------------------------

    def _calendar(self) -> Calendar:
        settings = self.settings
        time = self.time(self.orders, "orders", "time")
        span = self.orders.aggregate(first=time.min().cast("date"), last=time.max().cast("date")).to_pyarrow().to_pylist()[0]
        if span["first"] is None:
            raise DataError(f"view: table '{settings.orders}' has no purchases with a time.")
        start, end = span["first"], span["last"]
        data = f"the purchases run from {start} to {end}"
        first = _date(settings.first_cutoff) or start + dt.timedelta(days=settings.history_days)
        last = _date(settings.last_cutoff) or end
        for name, cutoff in (("first_cutoff", first), ("last_cutoff", last)):
            if getattr(settings, name) and not start < cutoff <= end:
                raise DataError(f"view.{name}: {cutoff} is outside the data; {data}.")
        if last < first:
            needs = "" if settings.first_cutoff else f" and the history looks back {settings.history_days} days"
            raise DataError(
                f"view: no cut-off from {first} to {last}: {data}{needs}. Shorten view.windows_days, or set view.first_cutoff."
            )
        # The last day may be under way, so a horizon must end before it.
        closed = min(last, end - dt.timedelta(days=settings.horizon_days))
        n_closed = (closed - first).days // settings.every_days + 1
        if n_closed < 1:
            raise DataError(
                f"view.horizon_days: {settings.horizon_days} days from the first cut-off {first} are not over; {data}."
            )
        n_all = (last - first).days // settings.every_days + 1
        return Calendar(first, settings.every_days, n_closed, n_all - n_closed)

    def cutoff(self, k: ir.IntegerValue) -> ir.TimestampValue:
        """The moment of cut-off k: a midnight, without a zone as the purchases are."""
        first = ibis.literal(self.calendar.first)
        return (first + (k * self.calendar.every_days).as_interval("D")).cast("timestamp")

    def at_cutoffs(self, table: ir.Table, first: ir.IntegerValue, last: ir.IntegerValue) -> ir.Table:
        """Each row once for every cut-off from day `first` to day `last` (both included), with its number `k`."""
        every = self.calendar.every_days
        from_k = ibis.greatest(floor_div(first + (every - 1), every), 0)
        to_k = ibis.least(floor_div(last, every) + 1, len(self.calendar))
        spread = table.mutate(from_k=from_k, n_cutoffs=to_k - from_k)
        spread = spread.filter(spread.n_cutoffs > 0)
        # A range from zero: ibis writes no brackets around the ends of any other for Spark.
        spread = spread.mutate(offset=ibis.range(ibis.literal(0, "int64"), spread.n_cutoffs).unnest())
        return spread.mutate(k=spread.from_k + spread.offset).drop("from_k", "n_cutoffs", "offset")

    def age(self, spread: ir.Table) -> ir.IntegerValue:
        """Days from the row's day to its cut-off: 1 is the day before."""
        return spread.k * self.calendar.every_days - spread.day

    def before(self, table: ir.Table) -> ir.Table:
        """Each row (with a `day`) at every cut-off that it lies before by `history_days` at most, with its `age`."""
        spread = self.at_cutoffs(table, table.day + 1, table.day + self.settings.history_days)
        return spread.mutate(age=self.age(spread))

    def within_horizon(self, table: ir.Table) -> ir.Table:
        """Each row (with a `day`) at every cut-off whose horizon it falls into."""
        return self.at_cutoffs(table, table.day - self.settings.horizon_days + 1, table.day)

    # -- the purchases ------------------------------------------------------------------------------------------

    @cached_property
    def lines(self) -> ir.Table:
        """Purchased lines in standard names: customer, day, at, basket, store, department, category, amount, discount, coupon,
        items."""
        settings, orders = self.settings, self.orders
        nothing = ibis.literal(0, "int64")
        time = self.time(orders, "orders", "time")
        lines = orders.select(
            customer=self.column(orders, "orders", "customer"),
            day=self.day(time),
            at=time,
            basket=self.column(orders, "orders", "basket"),
            product=self.column(orders, "orders", "product") if settings.product else ibis.literal(""),
            store=self.column(orders, "orders", "store").cast("string") if settings.store else ibis.literal(""),
            amount=_money(self.number("amount", settings.amount)),
            discount=self._sum("discounts"),
            coupon=self._sum("coupon_discounts"),
            items=_number(self.number("quantity", settings.quantity)).cast("int64") if settings.quantity else nothing,
        )
        lines = lines.filter(lines.customer.notnull(), lines.day.notnull())
        if not (settings.products and settings.product):
            return lines.mutate(department=ibis.literal(""), category=ibis.literal("")).drop("product")
        products = self.tables[settings.products]
        department = self.column(products, "products", "product_department").cast("string")
        category = self._named(products, "products", "category", self.category).cast("string") if self.category else department
        known = products.select(product=self.column(products, "products", "product"), department=department, category=category)
        known = known.group_by("product").aggregate(department=known.department.min(), category=known.category.min())
        joined = lines.left_join(known, "product")
        names = [name for name in lines.columns if name != "product"]
        return joined.select(*names, department=joined.department.fill_null(""), category=joined.category.fill_null(""))

    @cached_property
    def departments(self) -> dict[str, str]:
        """Column-name part → department: those of interest, and those with most lines before the first cut-off."""
        known = self.lines.filter(self.lines.day < 0, self.lines.department != "")
        counted = known.group_by("department").aggregate(n=known.count())
        ranked = counted.order_by(counted.n.desc(), counted.department.asc()).limit(self.settings.n_departments)
        names = dict.fromkeys([*self.of_interest, *ranked.to_pyarrow()["department"].to_pylist()])
        return slugs(names, taken=("campaign_start", "redemption"))  # there are days since these, too

    @cached_property
    def baskets(self) -> ir.Table:
        """One row per customer, basket and day.

        By way of one row per department: engines spill a grouping that is too large for memory, but not a distinct count in it.
        """
        basket = ("customer", "basket", "day")
        lines = self.lines
        parts = lines.group_by(*basket, "department").aggregate(
            at=lines["at"].min(),
            store=lines.store.min(),
            n_lines=lines.count(),
            **{name: lines[name].sum().cast("int64") for name in TOTALS},
        )
        amounts = {
            f"amount_{slug}": parts.amount.sum(where=parts.department == department).fill_null(0).cast("int64")
            for slug, department in self.departments.items()
        }
        return parts.group_by(*basket).aggregate(
            at=parts["at"].min(),
            store=parts.store.min(),
            n_departments=parts.count(),
            **{name: parts[name].sum().cast("int64") for name in ("n_lines", *TOTALS)},
            **amounts,
        )

    @cached_property
    def days(self) -> ir.Table:
        """One row per customer and day with a purchase; `gap` days after the one before, `until_next` days before the next."""
        baskets = self.baskets
        summed = ("n_lines", *TOTALS, *(f"amount_{slug}" for slug in self.departments))
        days = baskets.group_by("customer", "day").aggregate(
            n_baskets=baskets.count(),
            largest=baskets.amount.max(),
            n_departments=baskets.n_departments.max(),
            **{name: baskets[name].sum().cast("int64") for name in summed},
        )
        by_customer = ibis.window(group_by="customer", order_by="day")
        return days.mutate(
            gap=days.day - days.day.lag().over(by_customer), until_next=days.day.lead().over(by_customer) - days.day
        )

    # -- a part of the customers ---------------------------------------------------------------------------------

    def parts(self, memory: int) -> list[Purchases]:
        """The same purchases and cut-offs, of some of the customers each, as many as a history takes so many bytes for."""
        n_parts = -(-self.orders.count().to_pyarrow().as_py() * BYTES_A_LINE // memory)
        if n_parts <= 1:
            return [self]
        # A remainder of a negative number is one in SQL.
        number_of = (self.lines.customer.hash() % n_parts + n_parts) % n_parts
        parts = []
        for number in range(n_parts):
            part = Purchases(self.settings, self.tables, calendar=self.calendar)
            part.departments = self.departments
            part.lines = self.lines.filter(number_of == number)
            parts.append(part)
        return parts

    # -- who is an example ----------------------------------------------------------------------------------------

    def candidates(self, from_k: int, to_k: int) -> ir.Table:
        """Customers with a purchase within `active_days` before the cut-offs `from_k` to `to_k` (not included): customer, k."""
        days = self.lines.select("customer", "day").distinct()
        active = self.at_cutoffs(days, days.day + 1, days.day + self.settings.active_days).select(*EXAMPLE).distinct()
        return active.filter(active.k >= from_k, active.k < to_k)

    @property
    def n_unknown(self) -> ir.IntegerScalar:
        """Number of lines that say not who bought, or not when: no history has them."""
        who, when = self.column(self.orders, "orders", "customer"), self.time(self.orders, "orders", "time")
        return self.orders.filter(who.isnull() | when.isnull()).count()

    @property
    def n_open(self) -> ir.IntegerScalar:
        """Number of examples whose horizon is not over yet."""
        return self.candidates(self.calendar.n_closed, len(self.calendar)).count()

    # -- columns, by the setting that names them -----------------------------------------------------------------

    def column(self, table: ir.Table, table_setting: str, setting: str) -> ir.Column:
        name = getattr(self.settings, setting)
        return self._named(table, table_setting, setting, name)

    def _named(self, table: ir.Table, table_setting: str, setting: str, name: str) -> ir.Column:
        if name not in table.columns:
            raise DataError(
                f"view.{setting} is '{name}', but table '{getattr(self.settings, table_setting)}' has no such column."
                f"{nearest(name, table.columns)} Columns: {', '.join(table.columns)}."
            )
        return table[name]

    def time(self, table: ir.Table, table_setting: str, setting: str) -> ir.TimestampColumn:
        column = self.column(table, table_setting, setting)
        dtype = column.type()
        if not (dtype.is_timestamp() or dtype.is_date()):
            first = column.first().to_pyarrow().as_py()
            raise DataError(
                f"view.{setting}: column '{column.get_name()}' is {dtype}, expected a timestamp. First value: {first!r}. "
                "Declare it in source.types, set source.timestamp_format, or cast it in the source."
            )
        return column.cast("timestamp")

    def number(self, setting: str, name: str) -> ir.NumericColumn:
        """A column of `orders` that is summed up."""
        column = self._named(self.orders, "orders", setting, name)
        if not (column.type().is_numeric() or column.type().is_boolean()):
            first = column.first().to_pyarrow().as_py()
            raise DataError(
                f"view.{setting}: column '{name}' is {column.type()}, expected a number. First value: {first!r}. Write numbers "
                "without marks, or cast it in the source."
            )
        return column

    def day(self, time: ir.TimestampColumn) -> ir.IntegerColumn:
        return time.date().epoch_days().cast("int64") - self.calendar.first_day

    def _sum(self, setting: str) -> ir.IntegerValue:
        parts = [_money(self.number(setting, name)) for name in getattr(self.settings, setting)]
        return reduce(lambda left, right: left + right, parts, ibis.literal(0, "int64"))


def _number(values: ir.NumericColumn) -> ir.FloatingColumn:
    """0 where missing; not every Parquet file writes NULL for NaN."""
    return values.cast("float64").nullif(math.nan).fill_null(0.0)


def _money(values: ir.NumericColumn) -> ir.IntegerColumn:
    return (_number(values) * MONEY_SCALE).round().cast("int64")


def ratio(part: ir.NumericValue, whole: ir.NumericValue) -> ir.FloatingValue:
    """part / whole, missing where whole is 0."""
    return part.cast("float64") / whole.cast("float64").nullif(0.0)


def floor_div(value: ir.IntegerValue, by: int) -> ir.IntegerValue:
    return (value // by).cast("int64")


def left_join(left: ir.Table, right: ir.Table) -> ir.Table:
    """Left join on what the two share of `customer` and `k`; the left names stay."""
    on = [name for name in EXAMPLE if name in right.columns]
    joined = left.left_join(right, on)
    return joined.select(*[left[name] for name in left.columns], *[right[name] for name in right.columns if name not in EXAMPLE])


def slugs(names: Iterable[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Column-name part → name, each part once and none of those that are taken."""
    slugs: dict[str, str] = {}
    for name in names:
        slug = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "other"
        numbered = (f"{slug}_{number}" for number in count(len(slugs)))
        slugs[next(part for part in chain([slug], numbered) if part not in (*slugs, *taken))] = name
    return slugs


def _date(text: str) -> dt.date | None:
    return dt.date.fromisoformat(str(text)) if text else None
