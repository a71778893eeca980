"""What is shown side by side: a report's runs, or what is and what is suggested. Values only."""

import msgspec

from fairlead.simulator.compare import differences
from fairlead.simulator.report import Comparison, Report, Run

NOW, SUGGESTED = "now", "suggested"


def side_by_side(report: Report) -> Report:
    """The report, in which a suggestion is two runs more and how they differ; what is now alone, if that is it."""
    found = report.suggestion
    if found is None:
        return report
    runs = [*report.runs, Run(name=NOW, summary=found.before)]
    if not found.changes:
        return msgspec.structs.replace(report, runs=runs)
    return msgspec.structs.replace(
        report,
        runs=[*runs, Run(name=SUGGESTED, summary=found.after)],
        comparisons=[
            *report.comparisons,
            Comparison(before=NOW, after=SUGGESTED, differences=differences(found.before, found.after)),
        ],
    )
