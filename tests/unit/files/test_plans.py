"""What a plan says of files that its listing left out."""

from types import SimpleNamespace

import pytest

from wordfreq_batch.plans.plan import NOT_THERE, Refused
from wordfreq_dagster.files.plans import unread


@pytest.mark.parametrize(
    ("name", "kind", "kept"),
    [
        ("a/", "unreadable folder", {"a/b", "a/b/c"}),
        ("a/b", "unreadable", {"a/b", "a/b/c"}),
        ("a", "dangling link", {"a", "a/b", "a/b/c"}),  # a folder's, when it led somewhere
        ("a", "archived", {"a"}),  # in a bucket it is no folder of others
        ("a/", "archived", set()),
        ("a/", "second name", set()),
        ("a", "unusable name", set()),
        ("a", NOT_THERE, set()),
    ],
)
def test_only_what_could_not_be_looked_at_is_kept(name, kind, kept):
    planned = SimpleNamespace(refused=(Refused(name, "", kind),))
    assert unread(planned, ["a", "a/b", "a/b/c", "ab"]) == kept
