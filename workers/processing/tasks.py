"""The jobs of the processing role."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import contract, digests
from shared.processing.aggregates import AGGREGATE, AggregateDataset, AggregatedDataset
from shared.processing.applying import APPLY, AppliedFeatures, ApplyFeatures
from shared.processing.contract import ADOPT, ADOPT_FEATURES, FIT, FitFeatures, FittedFeatures
from shared.processing.joins import JOIN, JoinDatasets, JoinedDatasets
from shared.processing.publications import PUBLISH, PublishedFeatures, PublishFeatures
from shared.processing.splits import PARTS_PIN, SPLIT, SplitDataset, SplitPart, SplitParts
from workers import bodies, dataset_adoption, dataset_writing, numeric_threads
from workers.job import Finish, Job
from workers.processing import store
from workers.processing.adopt import adopt_features
from workers.processing.aggregates.aggregate import aggregate_table
from workers.processing.apply import apply_features
from workers.processing.fit import fit_features
from workers.processing.history import History
from workers.processing.joins.join import join_tables
from workers.processing.publish import publish_features
from workers.processing.splits.split import Part, split_table

bodies.job(ADOPT)(dataset_adoption.adopt)
bodies.job(ADOPT_FEATURES)(adopt_features)


@bodies.job(FIT)
def fit(job: Job, command: FitFeatures) -> Finish:
    """Fit a recipe, and keep the transformer and the transformed dataset."""
    pin = contract.DatasetPin.model_validate(job.pinned["dataset"])
    transformer, output = job.output("transformer.skops"), job.output("data.parquet")
    fitted = fit_features(
        job.fetch(pin),
        recipe=command.recipe,
        columns=pin.columns,
        target=command.target,
        problem=command.problem,
        transformer_path=transformer.path,
        output_path=output.path,
        progress=job.progress,
    )
    digest = digests.of_file(transformer.path)
    lineage = {"dataset": pin.label, "dataset_sha256": pin.sha256}
    row = {
        "key": transformer.key,
        "sha256": digest,
        "bytes": fitted.transformer_bytes,
        "recipe": command.recipe.model_dump(mode="json"),
        "columns": fitted.features,
        "dataset": pin.model_dump(mode="json"),
        "target": command.target,
        "notes": fitted.notes,
        "lineage": lineage,
    }

    def finish(connection: sa.Connection) -> FittedFeatures:
        dataset = dataset_writing.write(
            connection,
            job,
            f"{command.name}-data",
            key=output.key,
            table=fitted,
            notes=fitted.notes,
            lineage=lineage,
        )
        version = store.add_features(connection, job, command.name, row=row)
        features = FittedFeatures.Features(
            name=command.name, version=version, columns=fitted.features, target=command.target, sha256=digest
        )
        steps = [FittedFeatures.Step(**dataclasses.asdict(step)) for step in fitted.made]
        return FittedFeatures(features=features, dataset=dataset, steps=steps, notes=fitted.notes)

    return finish


@bodies.job(APPLY)
def apply(job: Job, command: ApplyFeatures) -> Finish:
    """Apply a fitted feature set to a dataset, as a new version of a dataset."""
    features = contract.FeaturesPin.model_validate(job.pinned["features"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("data.parquet")
    earlier = _find_earlier(command, job.pinned, dataset)
    applied = apply_features(
        job.fetch(dataset),
        transformer=job.fetch(features),
        sha256=features.sha256,
        output_path=output.path,
        earlier=History(job.fetch(earlier), earlier.label, tuple(command.history_key)) if earlier else None,
        progress=job.progress,
    )
    lineage = {"dataset": dataset.label, "features": features.label}
    if earlier:
        lineage["history"] = earlier.label

    def finish(connection: sa.Connection) -> AppliedFeatures:
        version = dataset_writing.write(
            connection,
            job,
            command.name or f"{features.name}-output",
            key=output.key,
            table=applied,
            notes=applied.notes,
            lineage=lineage,
        )
        return AppliedFeatures(dataset=version, history=lineage.get("history"), notes=applied.notes)

    return finish


@bodies.job(PUBLISH)
def publish(job: Job, command: PublishFeatures) -> Finish:
    """Publish a feature set as one row a key."""
    features = contract.FeaturesPin.model_validate(job.pinned["features"])
    dataset = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("rows.lookup")
    earlier = _find_earlier(command.as_apply, job.pinned, dataset)
    published = publish_features(
        job.fetch(dataset),
        transformer=job.fetch(features),
        sha256=features.sha256,
        key=command.key,
        time=command.time,
        output_path=output.path,
        scratch=job.scratch,
        earlier=History(job.fetch(earlier), earlier.label) if earlier else None,
        progress=job.progress,
    )

    def finish(connection: sa.Connection) -> PublishedFeatures:
        notes = published.notes + store.add_publication(
            connection, job, features, published, key=output.key, dataset=dataset.label
        )
        return PublishedFeatures(
            features=features.label,
            dataset=dataset.label,
            key=command.key,
            rows=published.rows,
            columns=[column.name for column in published.columns],
            bytes=published.bytes,
            sha256=published.sha256,
            notes=notes,
        )

    return finish


def _find_earlier(
    command: ApplyFeatures, pinned: Mapping[str, Any], dataset: contract.DatasetPin
) -> contract.DatasetPin | None:
    """Find the history; a dataset is no history of itself, as all of its rows would be left out."""
    earlier = command.find_history(pinned)
    return None if earlier is None or earlier.sha256 == dataset.sha256 else earlier


@bodies.job(SPLIT)
def split(job: Job, command: SplitDataset) -> Finish:
    """Split a dataset into parts, whose versions all appear in one transaction."""
    pin = contract.DatasetPin.model_validate(job.pinned["dataset"])
    names = job.pinned.get(PARTS_PIN) or list(command.parts)
    outputs = [job.output(f"part-{number}.parquet") for number in range(len(names))]
    seed = None if command.rule == "time" else command.seed or 0
    divided = split_table(
        job.fetch(pin),
        parts=[Part(name, command.parts[name], output.path) for name, output in zip(names, outputs, strict=True)],
        by=command.by,
        seed=seed or 0,
        scratch=job.scratch,
        threads=numeric_threads.count(job.config),
        progress=job.progress,
    )
    rule = {"rule": command.rule, "column": command.by.column if command.by else None, "seed": seed}
    shares = [{"name": name, "share": command.parts[name]} for name in names]

    def finish(connection: sa.Connection) -> SplitParts:
        parts = {}
        for name, output, table, share in zip(names, outputs, divided.tables, divided.shares, strict=True):
            version = dataset_writing.write(
                connection,
                job,
                command.name_of(name),
                key=output.key,
                table=table,
                profile=table.profile,
                notes=divided.notes,
                lineage={
                    "dataset": pin.label,
                    "dataset_sha256": pin.sha256,
                    "split": {"part": name, "parts": shares, **rule},
                },
            )
            parts[name] = SplitPart(dataset=version, share=share, asked=command.parts[name])
        return SplitParts(parts=parts, seed=seed, notes=divided.notes)

    return finish


@bodies.job(JOIN)
def join(job: Job, command: JoinDatasets) -> Finish:
    """Join two datasets, as a new version of a dataset."""
    left = contract.DatasetPin.model_validate(job.pinned["left"])
    right = contract.DatasetPin.model_validate(job.pinned["right"])
    output = job.output("data.parquet")
    joined = join_tables(
        command,
        left=left,
        right=right,
        left_path=job.fetch(left),
        right_path=job.fetch(right),
        output_path=output.path,
        scratch=job.scratch,
        threads=numeric_threads.count(job.config),
        progress=job.progress,
    )
    lineage = {
        "dataset": left.label,
        "dataset_sha256": left.sha256,
        "right": right.label,
        "right_sha256": right.sha256,
        "join": command.model_dump(mode="json", exclude={"name", "left", "right"}, exclude_none=True),
    }

    def finish(connection: sa.Connection) -> JoinedDatasets:
        version = dataset_writing.write(
            connection,
            job,
            command.name,
            key=output.key,
            table=joined.table,
            profile=joined.table.profile,
            notes=joined.notes,
            lineage=lineage,
        )
        return JoinedDatasets(dataset=version, left=joined.left, right=joined.right, notes=joined.notes)

    return finish


@bodies.job(AGGREGATE)
def aggregate(job: Job, command: AggregateDataset) -> Finish:
    """Aggregate a dataset, as a new version of a dataset."""
    pin = contract.DatasetPin.model_validate(job.pinned["dataset"])
    output = job.output("data.parquet")
    aggregated = aggregate_table(
        command,
        dataset=pin,
        path=job.fetch(pin),
        output_path=output.path,
        scratch=job.scratch,
        threads=numeric_threads.count(job.config),
        progress=job.progress,
    )
    rules = command.model_dump(mode="json", exclude={"name", "dataset"}, exclude_none=True)

    def finish(connection: sa.Connection) -> AggregatedDataset:
        version = dataset_writing.write(
            connection,
            job,
            command.name,
            key=output.key,
            table=aggregated.table,
            profile=aggregated.table.profile,
            notes=aggregated.notes,
            lineage={"dataset": pin.label, "dataset_sha256": pin.sha256, "aggregate": rules},
        )
        return AggregatedDataset(
            dataset=version,
            source_rows=pin.rows,
            without_time=aggregated.without_time,
            notes=aggregated.notes,
        )

    return finish
