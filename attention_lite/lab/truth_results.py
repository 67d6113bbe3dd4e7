"""The file of what `truth` asks: heads named on one half of the photographs first, then all scores, with controls.

`choose` names the heads and writes nothing else, so that the choice can be kept (committed) before `score` scores it.
Layers and heads are counted from 0, as in `record_attention`'s names: layer 6, head 5 is head 5 of layers.6.attention.
"""

import json
import platform
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from attention_lite.lab import pretrained, regions, truth
from attention_lite.lab.files import read_results, write_whole
from attention_lite.lab.truth import HALVES, PHOTOGRAPHS, QUESTIONS, UNTRAINED_SEEDS, rounded
from attention_lite.lab.weights import WEIGHTS

FILE = Path(__file__).parent / "truth.json"
COMMAND = "python -m attention_lite.lab truth"
OTHER = {"first": "second", "second": "first"}
PARTS = ("choice", "questions", "held_out", "halvings", "class_token")       # lists of rows
# Families of maps with options to choose among: heads, temperatures, widths.
NETWORK, LIKENESS, NEARNESS = "network", "likeness of colour", "nearness"
ELSEWHERE = "the same heads on the other photographs"
ANYONE = "the same heads, the other patches asking"


def load(path: Path = FILE) -> dict:
    """Read the file: settings, and the lists of rows that PARTS names.

    Raises:
        ValueError: if it is missing, not JSON, or not whole; says which command makes it.
    """
    results = read_results(path, COMMAND)
    for part in PARTS:
        if not results.get(part):
            raise ValueError(f"{path.name} has no {part}; make it with: {COMMAND}")
    return results


def choose(path: Path = FILE) -> list[dict]:
    """Name a head on each half of the photographs, and write the choice alone: a row a half.

    Raises:
        ValueError: if the transformer's weights are missing.
        OSError: if the file cannot be written.
    """
    table = torch.stack([values.mean(1) for values in own_lifts(_maps_of(pretrained.vision_transformer()))])
    choice = [chosen_on(table, half) for half in HALVES]
    _write(path, {"choice": choice})
    return choice


def score(path: Path = FILE) -> dict:
    """Score the heads that the file names, and all controls, and write everything.

    Raises:
        ValueError: if the file names no heads, or others than its rule names now; or weights are missing.
        OSError: if the file cannot be written.
    """
    choice = read_results(path, COMMAND).get("choice")
    if not choice:
        raise ValueError(f"{path.name} names no heads; name them first with: {COMMAND} --choose")
    maps = _maps_of(pretrained.vision_transformer())
    by_query = own_lifts(maps)
    table = torch.stack([values.mean(1) for values in by_query])
    if [_number(chosen_on(table, half)) for half in HALVES] != [_number(row) for row in choice]:
        raise ValueError(f"{path.name} names other heads than its rule does now; name them anew: {COMMAND} --choose")
    fresh_maps = [_maps_of(truth.untrained(seed)) for seed in tqdm(UNTRAINED_SEEDS, desc="untrained", unit="network")]
    tables = control_tables(fresh_maps) | {
        NETWORK: table, ELSEWHERE: torch.stack([lifts_elsewhere(maps, q) for q in QUESTIONS]),
        ANYONE: torch.stack([lifts_of_anyone(maps, q) for q in QUESTIONS])}
    results = {
        "choice": choice,
        "questions": [question_row(i, by_query[i], tables, choice, maps) for i in range(len(QUESTIONS))],
        "held_out": [held_out_row(half, tables, choice) for half in HALVES],
        "halvings": halvings_rows(tables),
        "class_token": [class_token_row(name, maps, [of[name] for of in fresh_maps]) for name in PHOTOGRAPHS],
    }
    _write(path, results)
    return results


def own_lifts(maps: dict[str, Tensor]) -> list[Tensor]:
    """For each question the lifts of all heads on its own photograph: a list of (72, queries)."""
    return [truth.lifts(maps[q.photograph].flatten(0, 1), q) for q in QUESTIONS]


def _maps_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: truth.network_maps(net, name) for name in PHOTOGRAPHS}


def lifts_elsewhere(maps: dict[str, Tensor], question: truth.Question) -> Tensor:
    """What a question's regions would get from the maps of the nine other photographs: (photographs, 72).

    A head that looks at places and not at what is there scores as much here as on the question's own photograph.
    """
    return torch.stack([truth.lifts(of.flatten(0, 1), question).mean(1)
                        for name, of in maps.items() if name != question.photograph])


def lifts_of_anyone(maps: dict[str, Tensor], question: truth.Question) -> Tensor:
    """What a question's partner gets, on its own photograph, from the patches of neither region, on average: (72,).

    A head that lights up the partner whoever asks scores as much here as with the question's own patches.
    """
    return truth.lifts(maps[question.photograph].flatten(0, 1), question, truth.bystanders(question)).mean(1)


def control_tables(fresh_maps: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The lifts of each control's options, (questions, options); of random maps (questions, draws, 72)."""
    near = truth.nearness_maps()
    tables = {
        NEARNESS: torch.stack([truth.lifts(near, q).mean(1) for q in QUESTIONS]),
        LIKENESS: torch.stack([truth.lifts(truth.likeness_maps(q.photograph), q).mean(1) for q in QUESTIONS]),
        "random": torch.stack([truth.random_lifts(truth.target(q), 72, seed) for seed, q in enumerate(QUESTIONS)]),
    }
    for seed, of in zip(UNTRAINED_SEEDS, fresh_maps, strict=True):
        tables[f"untrained {seed}"] = torch.stack([
            truth.lifts(of[q.photograph].flatten(0, 1), q).mean(1) for q in QUESTIONS])
    return tables


def chosen_on(table: Tensor, half: str) -> dict:
    """The head that a half of the photographs names, and the geometric mean of its lifts there."""
    head = truth.best_option(table, half)
    reached = truth.geometric_mean(truth.by_photograph(table[:, head], HALVES[half]))
    return {"chosen_on": half, "photographs": list(HALVES[half]), **_head(head), "lift": round(reached.item(), 4)}


def _head(number: int) -> dict:
    return {"layer": number // 6, "head": number % 6}


def _number(row: dict) -> int:
    return 6 * row["layer"] + row["head"]


# Rows


def question_row(i: int, by_query: Tensor, tables: dict[str, Tensor], choice: list[dict],
                 maps: dict[str, Tensor]) -> dict:
    """A question: all heads, the best of them on this picture, the one named on the other half, and the controls."""
    question = QUESTIONS[i]
    best = int(by_query.mean(1).argmax())
    named = next(_number(row) for row in choice if question.photograph not in HALVES[row["chosen_on"]])
    best_random = tables["random"][i].amax(1)
    fresh = torch.stack([tables[f"untrained {seed}"][i] for seed in UNTRAINED_SEEDS])
    return {
        "photograph": question.photograph, "query": list(question.query), "partner": list(question.partner),
        "queries": by_query.shape[1], "area": round(truth.target(question).mean().item(), 4),
        "distance": round(truth.distance(question), 2),
        "best": _with_interval(best, by_query), "named_elsewhere": _with_interval(named, by_query),
        "uniform": 1.0, NEARNESS: rounded(tables[NEARNESS][i]), LIKENESS: rounded(tables[LIKENESS][i]),
        "best_untrained": rounded(fresh.amax(1)), "mean_untrained": rounded(fresh.mean(1)),
        "best_random": spread(best_random), "one_random": spread(tables["random"][i].flatten()),
        "best_on_other_photographs": spread(tables[ELSEWHERE][i].amax(1)),
        "named_on_other_photographs": spread(tables[ELSEWHERE][i][:, named]),
        "map": rounded(asked(maps, question, named), 5),
        "heads": rounded(by_query.mean(1).unflatten(0, (12, 6))),
    }


def asked(maps: dict[str, Tensor], question: truth.Question, head: int) -> Tensor:
    """Where a head's weight on other patches lies, mean over the queries of a question: (256,)."""
    layer, number = divmod(head, 6)
    return truth.to_others(maps[question.photograph][layer, number, 1:, 1:], truth.queries(question)).mean(0)


def _with_interval(head: int, by_query: Tensor) -> dict:
    return {**_head(head), "lift": round(by_query[head].mean().item(), 4),
            "interval": truth.interval(by_query[head], torch.mean)}


def spread(values: Tensor) -> dict[str, float]:
    """Mean, quartiles and the 95th percentile of values (n,)."""
    quantiles = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75, 0.95]))
    return dict(zip(("mean", "q1", "median", "q3", "p95"), rounded(torch.cat([values.mean()[None], quantiles])),
                    strict=True))


def held_out_row(half: str, tables: dict[str, Tensor], choice: list[dict]) -> dict:
    """What the head named on one half scores on the other, beside one temperature and one width, best knowing all."""
    named = next(_number(row) for row in choice if row["chosen_on"] == half)
    row = {"chosen_on": half, "scored_on": OTHER[half], **_head(named)}
    row[NETWORK] = reached(tables[NETWORK][:, named], half)
    for family in (LIKENESS, NEARNESS):
        row[family] = reached(tables[family][:, truth.best_knowing_all(tables[family])], half)
    row[ELSEWHERE] = reached(tables[ELSEWHERE][:, :, named].mean(1), half)
    row[ANYONE] = reached(tables[ANYONE][:, named], half)
    row["untrained"] = [round(held_out(tables[f"untrained {seed}"], half), 4) for seed in UNTRAINED_SEEDS]
    row["random"] = spread(torch.tensor([held_out(drawn, half) for drawn in tables["random"].unbind(1)]))
    return row


def reached(lifts: Tensor, half: str) -> dict:
    """An option's lifts, (questions,), on the half that did not name it: by photograph, and their geometric mean."""
    values = truth.by_photograph(lifts, HALVES[OTHER[half]])
    return {"lift": round(truth.geometric_mean(values).item(), 4),
            "interval": truth.interval(values, truth.geometric_mean),
            "lifts": dict(zip(HALVES[OTHER[half]], rounded(values), strict=True))}


def paired(results: dict, control: str) -> dict:
    """How many times as large as a control's the held-out network's lift is, on the same photograph.

    The ratios of all ten photographs by name, their geometric mean with its 95 % interval, and on how many the network
    is ahead. `control` is LIKENESS, NEARNESS, ELSEWHERE or ANYONE.
    """
    ratios = {name: lift / max(row[control]["lifts"][name], truth.LEAST_LIFT)
              for row in results["held_out"] for name, lift in row[NETWORK]["lifts"].items()}
    values = torch.tensor(list(ratios.values()))
    return {"ratios": ratios, "mean": truth.geometric_mean(values).item(),
            "interval": truth.interval(values, truth.geometric_mean), "ahead": int((values > 1).sum())}


def temperature(results: dict) -> float:
    """The one temperature of likeness of colour that is best over all ten photographs, to its advantage."""
    table = torch.tensor([row[LIKENESS] for row in results["questions"]])
    return truth.TEMPERATURES[truth.best_knowing_all(table)]


def clearest(results: dict) -> list[dict]:
    """The questions' rows, that first on which the head named elsewhere is most times as good as the best control.

    The best control is colour likeness at its best temperature on this very question, or nearness at its best width.
    """
    def factor(row: dict) -> float:
        return row["named_elsewhere"]["lift"] / max(*row[LIKENESS], *row[NEARNESS])

    return sorted(results["questions"], key=factor, reverse=True)


def held_out(table: Tensor, half: str) -> float:
    """The score, on the other half, of the option that a half names: a geometric mean over photographs."""
    option = truth.best_option(table, half)
    return truth.geometric_mean(truth.by_photograph(table[:, option], HALVES[OTHER[half]])).item()


def halvings_rows(tables: dict[str, Tensor]) -> list[dict]:
    """How the halves were drawn matters: the same for all 252 choices of five photographs out of ten."""
    rows = []
    for name in (NETWORK, LIKENESS, NEARNESS, *(f"untrained {seed}" for seed in UNTRAINED_SEEDS)):
        per_photograph = truth.by_photograph(tables[name], PHOTOGRAPHS)
        scores, named = zip(*(_named_and_scored(per_photograph, five)
                              for five in combinations(range(len(PHOTOGRAPHS)), 5)), strict=True)
        row = {"of": name, "halvings": len(scores), "held_out": spread(torch.tensor(scores))}
        if name == NETWORK:
            row["heads"] = [{**_head(head), "times": named.count(head)} for head in sorted(set(named))]
        rows.append(row)
    return rows


def _named_and_scored(per_photograph: Tensor, choosing: tuple[int, ...]) -> tuple[float, int]:
    rest = [i for i in range(len(per_photograph)) if i not in choosing]
    option = int(truth.geometric_mean(per_photograph[list(choosing)]).argmax())
    return truth.geometric_mean(per_photograph[rest, option]).item(), option


def class_token_row(photograph: str, maps: dict[str, Tensor], fresh: list[Tensor]) -> dict:
    """The class token's last map against the main object: the mean of its heads, each head, and the controls."""
    where = truth.main_object(photograph)
    heads = truth.class_token_maps(maps[photograph])
    mean = heads.mean(0)
    elsewhere = torch.stack([truth.lift(truth.class_token_maps(of).mean(0), where)
                             for name, of in maps.items() if name != photograph])
    return {
        "photograph": photograph, "main": list(regions.main_object(photograph)), "area": round(where.mean().item(), 4),
        "lift": round(truth.lift(mean, where).item(), 4), "inside": round((mean * where).sum().item(), 4),
        "heads": rounded(truth.lift(heads, where)), "uniform": 1.0,
        "untrained": [round(truth.lift(truth.class_token_maps(of).mean(0), where).item(), 4) for of in fresh],
        "centred": rounded(truth.lift(truth.centred_maps(), where)),
        "best_random": spread(truth.random_lifts(where, 6, seed=0).amax(1)),
        "on_other_photographs": spread(elsewhere), "map": rounded(mean, 5),
    }


# The file


def _settings() -> dict:
    return {"grid": truth.GRID, "pixels": truth.SIDE, "query_share": truth.QUERY_SHARE,
            "halves": {half: list(names) for half, names in HALVES.items()}, "widths": list(truth.WIDTHS),
            "temperatures": list(truth.TEMPERATURES), "untrained_seeds": list(UNTRAINED_SEEDS),
            "random_blur": truth.RANDOM_BLUR, "random_peak": truth.RANDOM_PEAK, "random_draws": truth.RANDOM_DRAWS,
            "least_lift": truth.LEAST_LIFT, "resamples": truth.RESAMPLES}


def _made_with() -> dict:
    weights = WEIGHTS["vision-transformer"]
    return {"weights": weights.requirement, "sha256": weights.sha256, "torch": torch.__version__,
            "python": platform.python_version()}


def _write(path: Path, results: dict) -> None:
    """One row a line: differences between versions stay readable."""
    parts = [f'"command": {json.dumps(COMMAND)}', f'"made_with": {json.dumps(_made_with())}',
             f'"settings": {json.dumps(_settings())}']
    for part, rows in results.items():
        lines = ",\n".join(json.dumps(row) for row in rows)
        parts.append(f'"{part}": [\n{lines}\n]')
    write_whole(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())
