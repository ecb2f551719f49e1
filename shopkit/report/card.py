"""`model_card.md`: what someone who is handed the file must know (Mitchell et al., Model Cards for Model Reporting, 2019)."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from shopkit.report import exports, tables
from shopkit.report.calling import dtype, snippets
from shopkit.report.columns import Summary
from shopkit.report.facts import Facts
from shopkit.report.headline import headline, unit_of
from shopkit.report.page import environment

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]|~#$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def cell(value: object) -> str:
    r"""Any text as plain words in Markdown, also inside a table cell: nothing in it is markup.

    >>> cell("a|b <script>")
    'a\\|b &lt;script&gt;'
    """
    return " ".join(str(value).split()).translate(_SPECIAL)


def model_card(facts: Facts, summaries: Mapping[str, Summary]) -> str:
    """The whole card as text."""
    unit = unit_of(facts.metrics)
    description = facts.description
    env = environment(html=False)
    env.filters["cell"] = cell
    return env.get_template("model_card.md.j2").render(
        facts=facts,
        headline=headline(facts),
        metrics=tables.metrics_table(facts.metrics, unit),
        interval=facts.metrics.get("interval") or {},
        audit=facts.metrics.get("audit") or [],
        drift=[row for row in facts.metrics.get("drift") or [] if row.get("level") == "large"],
        target=facts.metrics.get("target") or {},
        parts=tables.parts(facts.metrics, facts.times),
        examples=facts.stage("examples"),
        inputs=[(column, dtype(column), summaries.get(column.name)) for column in description.schema.of_role("feature")]
        if description
        else [],
        outputs=description.outputs if description else (),
        snippets=[Markup(snippet.code) for snippet in snippets(description, summaries) if snippet.language == "python"][:1]
        if description
        else [],
        export=facts.stage("export"),
        exports=exports.lines(facts.exports, facts.metrics),
        refused=exports.refused(facts.exports),
    )
