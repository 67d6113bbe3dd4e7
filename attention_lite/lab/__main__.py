"""The lab's command line: python -m attention_lite.lab train se --seed 0."""

import argparse
import os
import sys
from pathlib import Path

import torch

from attention_lite import checks
from attention_lite.lab import (
    checkpoints,
    comparison,
    direction_gates,
    experiments,
    regions,
    remaking,
    text_answers,
    text_controls,
    truth_results,
)
from attention_lite.lab.experiments import EXPERIMENTS
from attention_lite.lab.experiments.slots import FOLDER as MEMORIES
from attention_lite.lab.experiments.slots import store_memories
from attention_lite.lab.recipes import check_run, every_recipe, home_task, shipped
from attention_lite.lab.runs import figure_of, finish, state_of, stop_on_ctrl_c


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status = {"train": _train, "compare": _compare, "networks": _networks, "list": _list,
                  "regions": _regions, "remake": _remake,
                  "text-gates": _text_gates, "truth": _truth, "experiments": _experiments}[options.command](options)
        sys.stdout.flush()                                # a reader who has left is noticed here, not at the exit
        return status
    except BrokenPipeError:                               # as of `list | head -1`: nobody wants the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141                                        # as a shell counts it: 128 + SIGPIPE
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped at once: what was under way is lost, what was finished is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m attention_lite.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train one model and write its checkpoint; Ctrl-C, and the same "
                                                 "command goes on later")
    training.add_argument("model", help="; ".join(f"{name}: {', '.join(r.models)}" for name, r in
                                                  every_recipe().items()))
    training.add_argument("--task", help="default: the task of the model's chapter")
    training.add_argument("--seed", type=int, nargs="+", default=[0], help="one or more")
    training.add_argument("--folder", type=Path, default=checkpoints.FOLDER, help="default: the package's own")
    training.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="default: cpu. A GPU is faster, and "
                                                                                   "its results are other digits")
    comparing = commands.add_parser("compare", help="make what is missing of the closing chapter's results: all "
                                                    "trainings and measurements; Ctrl-C, and it goes on later")
    comparing.add_argument("--file", type=Path, default=comparison.FILE, help="default: the package's own")
    comparing.add_argument("--folder", type=Path, default=checkpoints.FOLDER, help="where the checkpoints lie")
    comparing.add_argument("--processes", type=int, default=2, help="trainings side by side; default: 2")
    comparing.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler: train on its workers, not here; "
                                                                "needs the extra cluster")
    again = commands.add_parser("remake", help="all that the book rests on: train what is missing or was made by "
                                               "another version of torch, then compare, then experiments; Ctrl-C, and "
                                               "it goes on later")
    again.add_argument("--processes", type=int, default=2, help="trainings side by side; default: 2")
    commands.add_parser("networks", help="compare the rebuilt pretrained networks with onnxruntime and transformers "
                                         "on the book's photographs; needs the extra test")
    commands.add_parser("list", help="list the checkpoints and their figures")
    showing = commands.add_parser("regions", help="the regions drawn by hand on a photograph: write their picture, or "
                                                  "draw another")
    showing.add_argument("photograph")
    showing.add_argument("--picture", type=Path, help="where the picture goes; default: PHOTOGRAPH-regions.png")
    showing.add_argument("--draw", metavar="REGION", help="open a window instead, and store what is clicked")
    trying = commands.add_parser("experiments", help="make what is missing of the chapters' experiments on trained "
                                                     "networks; Ctrl-C, and it goes on later")
    trying.add_argument("name", nargs="*", help=f"one or more of {', '.join(EXPERIMENTS)}; default: all")
    trying.add_argument("--file", type=Path, default=experiments.FILE, help="default: the package's own")
    forcing = commands.add_parser("text-gates", help="force other gates on the text detector and the direction "
                                                     "classifier, in some minutes, and store what they answer")
    forcing.add_argument("--folder", type=Path, default=text_answers.FILE.parent, help="default: the package's own")
    asking = commands.add_parser("truth", help="score a trained transformer's maps against the drawn regions, in a "
                                               "minute or two")
    asking.add_argument("--choose", action="store_true", help="only name the heads; keep the file, then score")
    asking.add_argument("--file", type=Path, default=truth_results.FILE, help="default: the package's own")
    return parser


def _train(options: argparse.Namespace) -> int:
    task = home_task(options.model) if options.task is None else options.task
    for seed in options.seed:
        check_run(task, options.model, seed)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu on this machine, got cuda: torch finds no GPU that it can use")
    options.folder.mkdir(parents=True, exist_ok=True)     # refuses before the training, not after it
    torch.set_num_threads(1)     # nets this small train slower on two threads, and sums differ in the last bit
    figure, _ = figure_of(task)
    with stop_on_ctrl_c() as stop:
        for seed in options.seed:
            record = finish(task, options.model, seed, options.folder, stop=stop, device=options.device)
            if record is None:
                state = state_of(task, options.model, seed, options.folder)
                print(f"stopped; its state lies in {state}: the same command goes on from there", file=sys.stderr)
                return 130
            print(f"validation {record[f'validation_{figure}']:.3f}  test {record[f'test_{figure}']:.3f}  -> "
                  f"{checkpoints.path_of(task, options.model, seed, options.folder)}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    checks.positive_int("processes", options.processes)
    with stop_on_ctrl_c() as stop:
        if not comparison.compare(options.file, options.folder, options.processes, stop, options.cluster):
            print("stopped; what is done is kept: the same command goes on from there", file=sys.stderr)
            return 130
    print(f"{len(comparison.load(options.file)['rows'])} rows -> {options.file}")
    return 0


def _remake(options: argparse.Namespace) -> int:
    checks.positive_int("processes", options.processes)
    torch.set_num_threads(1)
    with stop_on_ctrl_c() as stop:
        if not remaking.remake(processes=options.processes, stop=stop):
            print("stopped; what is done is kept: the same command goes on from there", file=sys.stderr)
            return 130
    store_memories()
    print("all trainings and rows are of this version of torch")
    return 0


def _regions(options: argparse.Namespace) -> int:
    if options.draw:
        regions.draw_by_hand(options.photograph, options.draw)
        print(f"{options.draw} of {options.photograph} -> {regions.FILE}")
        return 0
    picture = options.picture or Path(f"{options.photograph}-regions.png")
    regions.save_overlay(options.photograph, picture)
    print(f"{options.photograph} -> {picture}")
    return 0


def _networks(_: argparse.Namespace) -> int:
    from attention_lite.lab.equalities import equalities  # its oracles come with the extra test

    torch.set_num_threads(1)
    all_hold = True
    for equality in equalities():
        print(equality, flush=True)
        all_hold &= equality.holds
    return 0 if all_hold else 1


def _experiments(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)     # sums in another order differ in the last bit, and a training makes more of it
    with stop_on_ctrl_c() as stop:
        names = options.name or list(EXPERIMENTS)
        if not experiments.make(names, options.file, stop):
            print("stopped; what is done is kept: the same command goes on from there", file=sys.stderr)
            return 130
    if "slots" in names:
        store_memories(options.file.parent / MEMORIES.name)
    print(f"whole -> {options.file}")
    return 0


def _text_gates(options: argparse.Namespace) -> int:
    classified = options.folder / direction_gates.FILE.name
    direction_gates.save(direction_gates.answers(), classified)
    print(f"{direction_gates.LINES} lines of text -> {classified}", flush=True)
    detected, found = options.folder / text_answers.FILE.name, text_answers.answers()
    text_answers.save(found, text_answers.watch_all(), detected)
    print(f"{len(found.pictures)} pictures, {len(found.sources)} sources of gates -> {detected}", flush=True)
    controls, rows = options.folder / text_controls.FILE.name, list(text_controls.rows())
    text_controls.save(rows, controls)
    print(f"{len(rows)} rows -> {controls}")
    return 0


def _truth(options: argparse.Namespace) -> int:
    if options.choose:
        for row in truth_results.choose(options.file):
            print(f"named on {', '.join(row['photographs'])}: layer {row['layer']}, head {row['head']}, "
                  f"lift there {row['lift']:.3g}")
    else:
        for row in truth_results.score(options.file)["held_out"]:
            print(f"layer {row['layer']}, head {row['head']} on the {row['scored_on']} half: "
                  f"lift {row[truth_results.NETWORK]['lift']:.3g}")
    print(f"-> {options.file}")
    return 0


def _list(_: argparse.Namespace) -> int:
    for task, model, seed in shipped():
        figure, _ = figure_of(task)
        _, record = checkpoints.load_checkpoint(task, model, seed)
        print(f"{task:20}{model:26}seed {seed}  parameters {record['parameters']:6}  {figure:8}  "
              f"validation {record[f'validation_{figure}']:.3f}  test {record[f'test_{figure}']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
