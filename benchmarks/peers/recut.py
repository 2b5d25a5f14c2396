"""Divide the runs that hold more than ASCII: the last stage of `pipeline.sh`, a filter."""

import sys

from common import recut

sys.stdout.buffer.write(recut(sys.stdin.buffer.read()))
