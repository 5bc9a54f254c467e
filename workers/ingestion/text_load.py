"""Loads a table of text: finds its types and how its values are written, from all of its rows, and stores it.

docs/decisions/ingestion.md, "A CSV is read once in the usual case"
"""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from shared import contract
from shared.ingestion.reading import CsvOptions
from workers.ingestion import column_threads, conversion, inference, names, pandas_index, table_store, text_table
from workers.ingestion.styles import detection

# Batches to read before types are guessed, so that a rare value seldom contradicts the guess: some 16 MB of CSV.
HEAD_BATCHES = 8

Batches = Iterator[tuple[float, pa.RecordBatch]]


class _WrongGuessError(Exception):
    """A row does not fit the types guessed from the first rows."""


class _SurpriseError(Exception):
    """Numbers of later rows, by column, are written in another style than those before them."""

    def __init__(self, surprises: dict[str, str]) -> None:
        super().__init__()
        self.surprises = surprises


class _NoIndexError(Exception):
    """A later row shows that the first column is no index."""


@dataclasses.dataclass
class TextLoad:
    """One table of text while it is being loaded."""

    store: table_store.TableStore
    _: dataclasses.KW_ONLY
    types: dict[str, contract.ColumnType]
    prior: Sequence[contract.Column]
    like: Mapping[str, contract.ColumnType]
    """Types of columns that may be absent, where `types` has no other."""
    reading: CsvOptions
    used: set[str]
    """Columns that options name, which are no index."""
    finds_index: bool = True

    def store_texts(self, table: text_table.TextTable) -> list[str]:
        """Infer the types of a table of text, store it, and return the notes.

        Types are inferred from all rows. They are guessed from the first ones, and rows are stored as guessed; when a
        later row proves a guess wrong, the table is read to its end and then stored again.
        """
        names.require_columns(self.types, names=table.names, field="types")
        table = self._select(table)
        surprises: dict[str, str] = {}
        while True:
            try:
                return self._store_styled(table, surprises=surprises)
            except _SurpriseError as error:
                surprises |= error.surprises
            except _NoIndexError:
                self.finds_index = False

    def _store_styled(self, table: text_table.TextTable, *, surprises: dict[str, str]) -> list[str]:
        """Store a table whose numbers and dates are written as its first rows and the surprises of later ones say."""
        like = {name: self.like[name] for name in table.names if name in self.like}
        overrides = self._keep_prior_types(table) | like | self.types
        with concurrent.futures.ThreadPoolExecutor(self.store.threads) as pool:
            columnwise = column_threads.ColumnThreads(pool, count=self.store.threads)
            batches = self.store.prefetch(table.batches())
            head = list(itertools.islice(batches, HEAD_BATCHES))
            batches = itertools.chain(head, batches)
            index_notes: list[str] = []
            if self._has_index(table, [batch for _, batch in head]):
                index_notes.append(pandas_index.describe(table.names[0]))
                batches = _drop_index(batches)
                table = table.select(range(1, len(table.names)))
                head = [(fraction, batch.select(range(1, batch.num_columns))) for fraction, batch in head]
            found = detection.find_styles(
                table.names,
                sample=[batch for _, batch in head],
                missing=pa.array(table.missing, pa.string()),
                candidates=table.candidates,
                types=overrides,
                options=self.reading,
                surprises=surprises,
            )
            table = dataclasses.replace(table, styles=found.styles)
            overrides |= dict.fromkeys(found.as_text, "string")
            inferred = inference.Inference(table, overrides=overrides, limits=self.store.limits, columnwise=columnwise)
            notes = self._store_as_guessed(table, inferred, _raise_surprises(batches, inferred, surprises), columnwise)
        if notes is None:
            types = inferred.types
            conversions = _create_conversions(table, types)
            notes = self.store.store(
                table.batches(), columns=table_store.build_columns(table.names, types), conversions=conversions
            )
        return [*table.notes, *index_notes, *found.notes, *inferred.notes, *notes]

    def _store_as_guessed(
        self,
        table: text_table.TextTable,
        inferred: inference.Inference,
        batches: Batches,
        columnwise: column_threads.ColumnThreads,
    ) -> list[str] | None:
        """Store the rows with the types inferred from the first of them; None when these don't fit all rows."""
        inferring = ((fraction, batch.num_rows, inferred.update(batch)) for fraction, batch in batches)
        head = list(itertools.islice(inferring, HEAD_BATCHES))
        guess = inferred.types
        conversions, rows = _create_conversions(table, guess), 0
        try:
            with self.store.open_writer(table_store.build_columns(table.names, guess)) as writer:
                for fraction, count, chunks in itertools.chain(head, inferring):
                    if inferred.types != guess:
                        raise _WrongGuessError
                    first_rows = itertools.repeat(rows + 1)
                    convert = conversion.TextConversion.convert_chunk
                    writer.write(columnwise.map(convert, conversions, chunks, first_rows))
                    rows += count
                    self.store.progress(
                        fraction * table_store.STORED_FRACTION, f"inferring types and storing, row {rows:,}"
                    )
        except _WrongGuessError:
            for fraction, *_ in inferring:
                self.store.progress(fraction * table_store.STORED_FRACTION, f"inferring types, row {inferred.rows:,}")
            return None
        self.store.stored = writer
        return [note for column_conversion in conversions for note in column_conversion.notes()]

    def _has_index(self, table: text_table.TextTable, sample: list[pa.RecordBatch]) -> bool:
        """Check whether the first column is the index of a pandas frame."""
        return (
            self.finds_index
            and self.reading.columns is None
            and self.reading.header is not False
            and pandas_index.find_in_text(table.names, sample=sample, used=self.used) is not None
        )

    def _select(self, table: text_table.TextTable) -> text_table.TextTable:
        """Select the columns that the options name."""
        if self.reading.columns is None:
            return table
        names.require_columns(self.reading.columns, names=table.names, field="columns")
        return table.select([table.names.index(name) for name in self.reading.columns])

    def _keep_prior_types(self, table: text_table.TextTable) -> dict[str, contract.ColumnType]:
        """Collect the types that columns of text keep from the prior columns; JSON numbers are not text."""
        candidates = dict(zip(table.names, table.candidates, strict=True))
        return {
            column.name: column.type
            for column in self.prior
            if column.type in ("string", "timestamp") and "timestamp" in candidates.get(column.name, ())
        }


def _raise_surprises(batches: Batches, inferred: inference.Inference, known: dict[str, str]) -> Batches:
    """Iterate over batches; raise _SurpriseError once a column has a number in another style that is not yet known."""
    for batch in batches:
        yield batch
        if inferred.surprises.keys() - known.keys():
            raise _SurpriseError(inferred.surprises)


def _drop_index(batches: Batches) -> Batches:
    """Iterate over batches without their first column; _NoIndexError when it is no index after all."""
    for fraction, batch in batches:
        if not pandas_index.still_are_places(batch.column(0)):
            raise _NoIndexError
        yield fraction, batch.select(range(1, batch.num_columns))


def _create_conversions(
    table: text_table.TextTable, types: list[contract.ColumnType]
) -> list[conversion.TextConversion]:
    missing = pa.array(table.missing, pa.string())
    return [
        conversion.TextConversion(
            name,
            column_type=column_type,
            missing=missing,
            locate_row=table.locate_row,
            column_style=table.style(position),
        )
        for position, (name, column_type) in enumerate(zip(table.names, types, strict=True))
    ]
