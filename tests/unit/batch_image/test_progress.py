"""How sizes are shown."""

import pytest

from wordfreq_batch.progress import size


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (2_952_230, "2.8 MiB"),
        (5 << 40, "5.0 TiB"),
        (3 << 60, "3,072.0 PiB"),
    ],
)
def test_a_size_can_be_read(number, shown):
    assert size(number) == shown
