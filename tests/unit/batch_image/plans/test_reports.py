"""Plans and receipts joined: each file that was asked for is done, or has failed for its reason."""

from __future__ import annotations

from pathlib import Path

from wordfreq_batch.plans.planning import build_plan
from wordfreq_batch.plans.reports import join_receipts


def test_a_chosen_file_that_cannot_be_planned_has_failed_for_the_true_reason(
    tmp_path: Path,
) -> None:
    (tmp_path / "in/.wordfreq").mkdir(parents=True)
    for name in ("a.txt", ".wordfreq/x", ".wordfreq/y"):
        (tmp_path / "in" / name).write_text("text")
    chosen = {"a.txt", ".wordfreq/x", "gone.txt"}
    plan = build_plan(
        source=str(tmp_path / "in"),
        destination=str(tmp_path / "out"),
        plan=str(tmp_path / "p.json"),
        counter_version="1",
        only=chosen,
    )
    report = join_receipts(plan, {}, reason=lambda _: "stopped", chosen=chosen)
    assert report.failed.keys() == chosen
    assert "stopped" in report.failed["a.txt"]
    assert "reserved" in report.failed[".wordfreq/x"]
    assert report.failed["gone.txt"] == "it is not in the source"
