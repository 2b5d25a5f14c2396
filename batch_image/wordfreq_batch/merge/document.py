"""The ranking as a document: `ranking.json`, with what has changed and the rankings of folders.

Written by `merge.merge`, read by reports, the orchestrator and users. JSON, ASCII only, members in
PascalCase, unknown members ignored when read; what is empty is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from wordfreq_batch.plans.checked import checked, from_object, reading, to_object


class RankedWord(NamedTuple):
    """A word and how often it occurs in all files together."""

    word: str
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


class RankingOptions(NamedTuple):
    """Which words are ranked: at least so long (code points) and so often, and how many of them.

    `stop_words` are ISO 639-1 codes of the languages whose stop words are left out.
    """

    min_length: int = 3
    min_count: int = 3
    top: int = 100
    stop_words: tuple[str, ...] = ()


class Earlier(NamedTuple):
    """The ranking that this one is compared with; `made`: when, ISO 8601, UTC."""

    made: str
    files: int
    total_words: int
    words: tuple[RankedWord, ...]


class FolderRanking(NamedTuple):
    """The most used words of the files in one folder of the source; `''`: those in none."""

    folder: str
    files: int
    total_words: int
    distinct_words: int
    words: tuple[RankedWord, ...]


class Change(NamedTuple):
    """A word whose rank has changed. Rank and count are None where it isn't, or wasn't, ranked."""

    word: str
    rank: int | None
    previous_rank: int | None
    count: int | None  # type: ignore[assignment]
    previous_count: int | None

    @property
    def places(self) -> int | None:
        """By how many places it rose (above 0) or fell; None if it is new or gone."""
        if self.rank is None or self.previous_rank is None:
            return None
        return self.previous_rank - self.rank


class SetAside(NamedTuple):
    """Files that have no words in the ranking: of what kind, how many, and their bytes."""

    kind: str
    files: int
    size: int


class Ranking(NamedTuple):
    """The most used words: count descending, then word; and the totals they are taken from.

    `files`, `words` and `distinct_words` are of all counts, before any option applies. `plan_id`
    is empty when a folder was ranked and no plan. `previous` is the last ranking that was another
    one, by the same options. `folders` are the largest ones, where they were asked for. `set_aside`
    are the files without text; so many files are `missing` because they could not be counted, some
    of them by name.
    """

    words: tuple[RankedWord, ...]
    files: int
    total_words: int
    distinct_words: int
    source: str
    plan_id: str = ""
    counter_version: str = ""
    options: RankingOptions = RankingOptions()
    previous: Earlier | None = None
    folders: tuple[FolderRanking, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    missing: int = 0
    missing_names: tuple[str, ...] = ()

    @property
    def folded(self) -> bool:
        """Whether spellings were counted as one (`text.folding`)."""
        return ";fold=" in self.counter_version

    @property
    def changes(self) -> tuple[Change, ...]:
        """The words whose rank has changed since the previous ranking, by rank, then those gone."""
        return () if self.previous is None else changes(self.words, self.previous.words)

    def dumps(self) -> str:
        """The ranking's text: two blanks of indent and a line end at the end."""
        return json.dumps(self.to_json(), indent=2) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The ranking as a JSON object."""
        document: dict[str, Any] = {
            "Metadata": {
                "Source": self.source,
                "PlanId": self.plan_id,
                "CounterVersion": self.counter_version,
                "Files": self.files,
                "Words": self.total_words,
                "DistinctWords": self.distinct_words,
                "Options": to_object(self.options),
            },
            "Words": _words_json(self.words),
        }
        if self.folded:
            document["Metadata"]["Folded"] = True
        if self.set_aside:
            document["Metadata"]["SetAside"] = [
                {"Kind": each.kind, "Files": each.files, "Bytes": each.size}
                for each in self.set_aside
            ]
        if self.missing:
            document["Metadata"]["Missing"] = self.missing
            document["Metadata"]["MissingNames"] = list(self.missing_names)
        if self.previous is not None:
            document["Previous"] = {
                "Made": self.previous.made,
                "Files": self.previous.files,
                "Words": self.previous.total_words,
                "Ranking": _words_json(self.previous.words),
            }
            document["Changes"] = [to_object(change) for change in self.changes]
        if self.folders:
            document["Folders"] = [
                {
                    "Folder": each.folder,
                    "Files": each.files,
                    "Words": each.total_words,
                    "DistinctWords": each.distinct_words,
                    "Ranking": _words_json(each.words),
                }
                for each in self.folders
            ]
        return document

    @classmethod
    def loads(cls, text: str | bytes, *, uri: str) -> Ranking:
        """The reverse of `dumps`; `uri` is where it came from.

        Raises:
            DataError: it isn't a ranking.
        """
        with reading(uri, "ranking", "run `wordfreq merge` again"):
            document = json.loads(text)
            metadata = document["Metadata"]
            options = metadata["Options"]
            return checked(
                cls(
                    words=_words(document["Words"]),
                    files=metadata["Files"],
                    total_words=metadata["Words"],
                    distinct_words=metadata["DistinctWords"],
                    source=metadata["Source"],
                    plan_id=metadata["PlanId"],
                    counter_version=metadata["CounterVersion"],
                    options=from_object(
                        RankingOptions, options, stop_words=tuple(options["StopWords"])
                    ),
                    previous=_earlier(document.get("Previous")),
                    folders=tuple(map(_folder, document.get("Folders", ()))),
                    set_aside=tuple(
                        checked(SetAside(each["Kind"], each["Files"], each["Bytes"]))
                        for each in metadata.get("SetAside", ())
                    ),
                    missing=metadata.get("Missing", 0),
                    missing_names=tuple(metadata.get("MissingNames", ())),
                )
            )


def changes(now: Iterable[RankedWord], before: Iterable[RankedWord]) -> tuple[Change, ...]:
    """The words whose rank differs between two rankings, by their rank now, then those gone."""
    old = {entry.word: (rank, entry.count) for rank, entry in enumerate(before, start=1)}
    found = []
    for rank, entry in enumerate(now, start=1):
        was, count = old.pop(entry.word, (None, None))
        if was != rank:
            found.append(Change(entry.word, rank, was, entry.count, count))
    return (*found, *(Change(word, None, was, None, count) for word, (was, count) in old.items()))


def _words_json(words: Iterable[RankedWord]) -> list[dict[str, Any]]:
    return [to_object(ranked) for ranked in words]


def _words(rows: Iterable[dict[str, Any]]) -> tuple[RankedWord, ...]:
    return tuple(from_object(RankedWord, row) for row in rows)


def _earlier(found: dict[str, Any] | None) -> Earlier | None:
    if found is None:
        return None
    return checked(Earlier(found["Made"], found["Files"], found["Words"], _words(found["Ranking"])))


def _folder(found: dict[str, Any]) -> FolderRanking:
    return checked(
        FolderRanking(
            folder=found["Folder"],
            files=found["Files"],
            total_words=found["Words"],
            distinct_words=found["DistinctWords"],
            words=_words(found["Ranking"]),
        )
    )
