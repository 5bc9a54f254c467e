"""What a search does next, from what is known of its trials: a pure function, so that any worker can take any turn."""

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
    """What one turn decides: the trials to begin now, how many there will be in all, and whether the search is over."""

    begin: list[Trial]
    planned: int
    is_over: bool


def take(command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], is_late: bool) -> Turn:
    """Decide what comes next; `trials` stand in order of their numbers, those to be begun again are waiting jobless.

    With the same trials the decision is the same. `rungs` is what each rung of halving has; `is_late` says that
    the search's time is over, after which nothing is begun but the first trial.
    """
    running = [trial for trial in trials if trial.job and not trial.has_ended]
    again = [trial for trial in trials if not trial.job and not trial.has_ended]
    room = command.search_settings.max_parallel - len(running)
    planned, fresh = _fresh(command, trials, rungs=rungs, room=room - len(again))
    begin = (again + fresh)[: max(0, room)]
    if is_late:
        begin = [trial for trial in begin if trial.number == 0]
    return Turn(begin, planned, is_over=not begin and not running)


def first_draws(command: SearchModel) -> int:
    """Give settings many trials the draws make that need no results."""
    return len(_drawn(command.model_dump_json()))


def _fresh(
    command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], room: int
) -> tuple[int, list[Trial]]:
    """Give settings many trials are planned, and of those that no one knows yet as many as there is room for."""
    if command.search_settings.method == "tpe":
        return command.search_settings.trials, _by_tpe(command, list(trials), room=room)
    if command.search_settings.method == "halving":
        return _by_halving(command, trials, rungs=rungs, room=room)
    drawn = _drawn(command.model_dump_json())
    known = len(trials)
    fresh = drawn[known : known + max(0, room)]
    return len(drawn), [_trial(command, draw, number=number) for number, draw in enumerate(fresh, start=known)]


@functools.lru_cache(maxsize=4)
def _drawn(command_json: str) -> tuple[spaces.Draw, ...]:
    """Make all draws of a method that needs no results; kept, because a search takes a turn for each trial."""
    command = SearchModel.model_validate_json(command_json)
    if command.search_settings.method == "grid":
        return tuple(spaces.grid(command.candidates))
    return tuple(spaces.draws(command.candidates, trials=command.search_settings.trials, seed=command.search_settings.seed))


def _trial(command: SearchModel, draw: spaces.Draw, *, number: int) -> Trial:
    return Trial(number, draw.candidate, command.candidates[draw.candidate].name, draw.params)


def _by_tpe(command: SearchModel, trials: list[Trial], *, room: int) -> list[Trial]:
    settings = command.search_settings
    begun = len(trials)
    while len(trials) - begun < room and len(trials) < settings.trials:
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
        trials.append(_trial(command, draw, number=len(trials)))
    return trials[begun:]


def _by_halving(
    command: SearchModel, trials: Sequence[Trial], *, rungs: Sequence[int], room: int
) -> tuple[int, list[Trial]]:
    """Give the trials of the first rung that isn't whole; a rung begins when all of the one below have ended."""
    wanted = command.search_settings.halving or Halving()
    rung_trials = [
        _on_rung(command, draw, 0, rungs, number) for number, draw in enumerate(_drawn(command.model_dump_json()))
    ]
    known = {trial.number: trial for trial in trials}
    planned = _planned(len(rung_trials), len(rungs), factor=wanted.factor)
    for rung in range(len(rungs)):
        missing = [trial for trial in rung_trials if trial.number not in known]
        if missing:
            return planned, missing[: max(0, room)]
        below = [known[trial.number] for trial in rung_trials]
        if rung + 1 == len(rungs) or any(not trial.has_ended for trial in below):
            break
        rung_trials = _promote(command, below, rung + 1, rungs)
        if not rung_trials:
            break
    return planned, []


def _promote(command: SearchModel, below: list[Trial], rung: int, rungs: Sequence[int]) -> list[Trial]:
    places = halving.survivors(
        [trial.value if trial.state == "finished" else None for trial in below],
        factor=(command.search_settings.halving or Halving()).factor,
        greater_is_better=scoring.greater_is_better(command.metric, problem=command.problem),
    )
    first = below[-1].number + 1
    return [
        _on_rung(command, spaces.Draw(below[place].candidate, below[place].params), rung, rungs, first + count)
        for count, place in enumerate(places)
    ]


def _on_rung(command: SearchModel, draw: spaces.Draw, rung: int, rungs: Sequence[int], number: int) -> Trial:
    resource = (command.search_settings.halving or Halving()).resource
    given = {} if resource == "rows" else {resource: rungs[rung]}
    trial = _trial(command, spaces.Draw(draw.candidate, {**draw.params, **given}), number=number)
    return dataclasses.replace(trial, rung=rung, resource=rungs[rung])


def _planned(candidates: int, rungs: int, *, factor: int) -> int:
    total = 0
    for _ in range(rungs):
        total += candidates
        candidates = math.ceil(candidates / factor)
    return total
