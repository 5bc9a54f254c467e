"""Plans a search's next turn from the state of its trials: a pure function, so that any worker can take any turn.

docs/decisions/search.md, "A search remembers nothing but its children".
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

from shared import scoring
from shared.training.search.commands import SearchModel
from shared.training.search.methods import Halving
from workers.training.search import halving, spaces, tpe
from workers.training.search.leaderboard import Trial


@dataclasses.dataclass(frozen=True)
class Turn:
    """What one turn decides: the trials to start now, how many there will be in all, and whether the search is over."""

    to_start: list[Trial]
    planned: int
    is_over: bool


def plan_turn(command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], is_late: bool) -> Turn:
    """Plan the next turn; the same trials always give the same plan.

    `trials` are in order of their numbers; one to be restarted is waiting and has no job. `rungs` are the resources of
    each rung of halving. `is_late` says that the search's time is over, after which only the first trial is started.
    """
    running = [trial for trial in trials if trial.job and not trial.has_ended]
    restarted = [trial for trial in trials if not trial.job and not trial.has_ended]
    free_slots = command.search_settings.max_parallel - len(running)
    planned, new_trials = _plan_new_trials(command, trials, rungs=rungs, free_slots=free_slots - len(restarted))
    to_start = (restarted + new_trials)[: max(0, free_slots)]
    if is_late:
        to_start = [trial for trial in to_start if trial.number == 0]
    return Turn(to_start, planned, is_over=not to_start and not running)


def count_first_draws(command: SearchModel) -> int:
    """Count the trials that are drawn without knowing any results."""
    return len(_draw_all(command.model_dump_json()))


def _plan_new_trials(
    command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], free_slots: int
) -> tuple[int, list[Trial]]:
    """Return how many trials are planned in all, and the new ones, as many as there are free slots."""
    if command.search_settings.method == "tpe":
        return command.search_settings.trials, _draw_by_tpe(command, list(trials), free_slots=free_slots)
    if command.search_settings.method == "halving":
        return _plan_halving(command, trials, rungs=rungs, free_slots=free_slots)
    all_draws = _draw_all(command.model_dump_json())
    next_number = len(trials)
    draws = all_draws[next_number : next_number + max(0, free_slots)]
    return len(all_draws), [
        _make_trial(command, draw, number=number) for number, draw in enumerate(draws, start=next_number)
    ]


@functools.lru_cache(maxsize=4)
def _draw_all(command_json: str) -> tuple[spaces.Draw, ...]:
    """Make all draws of a method that needs no results; cached, because a search takes a turn for each trial."""
    command = SearchModel.model_validate_json(command_json)
    if command.search_settings.method == "grid":
        return tuple(spaces.list_grid(command.candidates))
    return tuple(
        spaces.draw_random(command.candidates, trials=command.search_settings.trials, seed=command.search_settings.seed)
    )


def _make_trial(command: SearchModel, draw: spaces.Draw, *, number: int) -> Trial:
    return Trial(number, draw.candidate, command.candidates[draw.candidate].name, draw.params)


def _draw_by_tpe(command: SearchModel, trials: list[Trial], *, free_slots: int) -> list[Trial]:
    settings = command.search_settings
    first_new = len(trials)
    while len(trials) - first_new < free_slots and len(trials) < settings.trials:
        must_have_ended = trials[: max(0, len(trials) - settings.max_parallel + 1)]
        if any(not trial.has_ended for trial in must_have_ended):
            break
        draw = tpe.draw(
            command.candidates,
            trials,
            parallel=settings.max_parallel,
            seed=settings.seed,
            greater_is_better=scoring.greater_is_better(command.metric, problem=command.problem),
        )
        trials.append(_make_trial(command, draw, number=len(trials)))
    return trials[first_new:]


def _plan_halving(
    command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], free_slots: int
) -> tuple[int, list[Trial]]:
    """Plan the first rung that isn't complete; a rung starts when all trials of the rung below have ended.

    Returns how many trials are planned in all, and those to start.
    """
    settings = command.search_settings.halving or Halving()
    rung_trials = [
        _make_rung_trial(command, draw, 0, rungs, number)
        for number, draw in enumerate(_draw_all(command.model_dump_json()))
    ]
    known_trials = {trial.number: trial for trial in trials}
    planned = _count_planned(len(rung_trials), len(rungs), factor=settings.factor)
    for rung in range(len(rungs)):
        missing = [trial for trial in rung_trials if trial.number not in known_trials]
        if missing:
            return planned, missing[: max(0, free_slots)]
        known_rung = [known_trials[trial.number] for trial in rung_trials]
        if rung + 1 == len(rungs) or any(not trial.has_ended for trial in known_rung):
            break
        rung_trials = _promote(command, known_rung, rung + 1, rungs)
        if not rung_trials:
            break
    return planned, []


def _promote(command: SearchModel, finished_rung: list[Trial], rung: int, rungs: Sequence[int]) -> list[Trial]:
    survivors = halving.select_survivors(
        [trial.value if trial.state == "finished" else None for trial in finished_rung],
        factor=(command.search_settings.halving or Halving()).factor,
        greater_is_better=scoring.greater_is_better(command.metric, problem=command.problem),
    )
    first_number = finished_rung[-1].number + 1
    return [
        _make_rung_trial(
            command,
            spaces.Draw(finished_rung[index].candidate, finished_rung[index].params),
            rung,
            rungs,
            first_number + offset,
        )
        for offset, index in enumerate(survivors)
    ]


def _make_rung_trial(command: SearchModel, draw: spaces.Draw, rung: int, rungs: Sequence[int], number: int) -> Trial:
    resource = (command.search_settings.halving or Halving()).resource
    rung_params = {} if resource == "rows" else {resource: rungs[rung]}
    trial = _make_trial(command, spaces.Draw(draw.candidate, {**draw.params, **rung_params}), number=number)
    return dataclasses.replace(trial, rung=rung, resource=rungs[rung])


def _count_planned(candidates: int, rungs: int, *, factor: int) -> int:
    total = 0
    for _ in range(rungs):
        total += candidates
        candidates = math.ceil(candidates / factor)
    return total
