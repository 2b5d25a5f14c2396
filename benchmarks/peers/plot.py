"""Draw bars: `plot.py FILE.png`, with {corpus: [[label, rate], …]} on stdin. Needs matplotlib."""

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

bars = json.load(sys.stdin)
figure, panels = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
for panel, (corpus, pairs) in zip(panels.flat, bars.items(), strict=False):
    pairs = sorted(pairs, key=lambda pair: pair[1])
    colours = ["#c0392b" if label.startswith("ours") else "#8395a7" for label, _ in pairs]
    drawn = panel.barh([label for label, _ in pairs], [rate for _, rate in pairs], color=colours)
    panel.bar_label(drawn, [f"{rate:.0f}" for _, rate in pairs], padding=3, fontsize=8)
    panel.set_title(corpus, fontsize=10, loc="left")
    panel.tick_params(labelsize=8)
    panel.margins(x=0.12)
    panel.spines[["top", "right"]].set_visible(False)
for panel in list(panels.flat)[len(bars) :]:
    panel.set_visible(False)
figure.suptitle(
    "MB counted per CPU second, one thread, without start-up (more is better)", fontsize=11
)
figure.savefig(sys.argv[1], dpi=110, metadata={"Software": None})
