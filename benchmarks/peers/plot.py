"""Draw bars: `plot.py FILE.png`, with {corpus: [[kind, label, rate], …]} on stdin.

A line is a contestant; where it was measured by both rules, it has two bars. Needs matplotlib.
"""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

# By the beginning of the kind; in the order of the legend.
COLOURS = {"ours": "#c0392b", "the same": "#2471a3", "a simpler": "#b8c2cc"}

corpora = json.load(sys.stdin)
figure, panels = plt.subplots(2, 2, figsize=(10, 7.6), layout="constrained")
kinds: dict[str, str] = {}  # and their colours
for panel, (corpus, bars) in zip(panels.flat, corpora.items(), strict=False):
    # The fastest on top, by the best bar that it has.
    best: dict[str, float] = {}
    for _, label, rate in bars:
        best[label] = max(rate, best.get(label, 0))
    labels = sorted(best, key=best.__getitem__)
    for kind, label, rate in bars:
        several = sum(other == label for _, other, _ in bars) > 1
        shift = (0.2 if kind.startswith("the same") else -0.2) if several else 0
        kinds[kind] = next(c for start, c in COLOURS.items() if kind.startswith(start))
        place, height = labels.index(label) + shift, 0.4 if several else 0.6
        drawn = panel.barh(place, rate, height, color=kinds[kind])
        panel.bar_label(drawn, [f"{rate:.0f}"], padding=3, fontsize=7)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_title(corpus, fontsize=10, loc="left")
    panel.tick_params(labelsize=8)
    panel.margins(x=0.12)
    panel.spines[["top", "right"]].set_visible(False)
for panel in list(panels.flat)[len(corpora) :]:
    panel.set_visible(False)
colours = list(COLOURS.values())
known = sorted(kinds, key=lambda kind: colours.index(kinds[kind]))
handles = [Patch(color=kinds[kind], label=kind) for kind in known]
figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
figure.suptitle(
    "MB counted per CPU second, one thread, without start-up (more is better)", fontsize=11
)
figure.savefig(sys.argv[1], dpi=110, metadata={"Software": None})
