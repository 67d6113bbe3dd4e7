"""Far pairs on real photographs: scores whose answers are known, controls, and the file against the weights."""

import json
from pathlib import Path

import pytest
import torch

from attention_lite.lab import __main__ as lab_command
from attention_lite.lab import pretrained, regions, seen, truth, truth_results
from attention_lite.lab.truth import HALVES, PHOTOGRAPHS, QUESTIONS
from attention_lite.lab.truth_results import ANYONE, ELSEWHERE, LIKENESS, NEARNESS, NETWORK

EVERY_QUESTION = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q.photograph}: {q.query[0]}")
RESULTS = truth_results.load()


def row_of(question: truth.Question) -> dict:
    return RESULTS["questions"][QUESTIONS.index(question)]


# Scores


def test_lift_of_weights_whose_answer_is_known():
    target = torch.tensor([0.0, 1.0, 0.5, 0.5])                          # half of the places
    assert truth.lift(torch.full((4,), 0.25), target) == 1
    assert truth.lift(torch.tensor([0.0, 1.0, 0.0, 0.0]), target) == 2
    assert truth.lift(torch.tensor([0.0, 0.0, 1.0, 0.0]), target) == 1   # a place that is half covered
    assert truth.lift(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), target).tolist() == [0]


@EVERY_QUESTION
@pytest.mark.parametrize("extra", [0, 1], ids=["patches", "class token"])
def test_a_map_with_all_weight_on_the_partner_has_the_largest_lift(question, extra):
    places = 256 + extra
    covered = torch.nn.functional.pad(truth.target(question), (extra, 0))
    maps = torch.full((places, places), 1 / places)
    among_others = torch.full((len(truth.queries(question)),), 256 / 255)
    assert torch.allclose(truth.lifts(maps, question), among_others)
    maps[truth.queries(question) + extra] = torch.nn.functional.one_hot(covered.argmax(), places).float()
    expected = covered.max() / truth.target(question).mean()
    assert torch.allclose(truth.lifts(maps, question), expected.expand(len(truth.queries(question))))
    assert (truth.lifts(maps.T / maps.T.sum(1, keepdim=True), question) < expected).all()     # queries are rows


def test_weight_on_the_class_token_lies_on_no_region():
    maps = torch.zeros(257, 257)
    maps[:, 0] = 1
    assert truth.lifts(maps, QUESTIONS[0]).abs().max() == 0


def test_what_a_patch_gives_to_itself_and_to_the_class_token_is_left_out():
    question, maps = QUESTIONS[0], torch.rand(257, 257)
    expected = truth.lifts(maps, question)
    maps[truth.queries(question) + 1, truth.queries(question) + 1] = 50
    maps[:, 0] = 9
    assert torch.allclose(truth.lifts(maps, question), expected)
    shares = truth.to_others(maps[1:, 1:], truth.queries(question))
    assert torch.allclose(shares.sum(1), torch.ones(len(shares)))


def test_class_token_maps_are_its_row_of_the_last_layer_over_the_patches():
    maps = torch.rand(2, 3, 257, 257)
    maps[-1, 1, 0] = 0
    maps[-1, 1, 0, 0], maps[-1, 1, 0, 1 + 37] = 0.5, 0.5
    found = truth.class_token_maps(maps)
    assert found.shape == (3, 256)
    assert found[1, 37] == 1
    assert torch.allclose(found.sum(1), torch.ones(3))


def test_the_option_that_is_best_on_one_half_is_scored_on_the_other():
    table = torch.ones(len(QUESTIONS), 3)
    for i, question in enumerate(QUESTIONS):
        table[i, 1 if question.photograph in HALVES["first"] else 2] = 8
    assert truth.best_option(table, "first") == 1
    assert truth.best_option(table, "second") == 2
    assert truth_results.held_out(table, "first") == pytest.approx(1)
    table[:, 0] = 9
    assert truth_results.held_out(table, "first") == pytest.approx(9)


def test_means_are_geometric_within_and_over_photographs():
    table = torch.ones(len(QUESTIONS), 1)
    own = [i for i, question in enumerate(QUESTIONS) if question.photograph == "chelsea"]
    table[own[0]], table[own[1]] = 2, 8
    assert truth.by_photograph(table, ("chelsea", "rocket")).flatten().tolist() == pytest.approx([4, 1])
    assert truth.geometric_mean(torch.tensor([0.0, 1.0])) == pytest.approx(truth.LEAST_LIFT ** 0.5)


def test_an_interval_holds_its_mean_and_shrinks_with_more_values():
    few = torch.tensor([1.0, 2.0, 3.0, 4.0])
    low, high = truth.interval(few, torch.mean)
    assert 1 <= low < 2.5 < high <= 4
    more = truth.interval(few.repeat(25), torch.mean)
    assert more[1] - more[0] < (high - low) / 2
    assert truth.interval(torch.tensor([3.0, 3.0]), torch.mean) == [3, 3]


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: truth.lift(torch.ones(4), torch.ones(5)), r"got \(4,\) and \(5,\)"),
    (lambda: truth.lift(torch.ones(4), torch.zeros(4)), "target must cover some place"),
    (lambda: truth.lifts(torch.ones(49, 49), QUESTIONS[0]), r"maps must have shape .*, got \(49, 49\)"),
    (lambda: truth.lifts(torch.ones(257, 256), QUESTIONS[0]), r"got \(257, 256\)"),
])
def test_bad_input(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


# Questions


def test_there_are_questions_on_at_least_six_photographs_and_halves_share_none():
    assert len(PHOTOGRAPHS) >= 6
    assert sorted(HALVES["first"] + HALVES["second"]) == list(PHOTOGRAPHS)
    assert set(PHOTOGRAPHS) == set(regions.drawn())


@EVERY_QUESTION
def test_each_question_has_several_queries_and_a_partner_out_of_their_reach(question):
    asking = truth.queries(question)
    assert len(asking) >= 2
    assert truth.target(question)[asking].max() == 0
    assert truth.distance(question) > 4


@EVERY_QUESTION
def test_nearness_wins_no_question(question):
    best = truth.lifts(truth.nearness_maps(), question).mean(1).max().item()
    assert best < 2.5
    assert best < row_of(question)["best"]["lift"]


# Controls


def test_controls_are_distributions():
    for maps in (truth.nearness_maps(), truth.likeness_maps("coffee"), truth.centred_maps(),
                 truth.random_maps(50, torch.Generator().manual_seed(0))):
        assert maps.min() >= 0
        assert torch.allclose(maps.sum(-1), torch.ones(maps.shape[:-1]), atol=1e-5)


def test_nearness_peaks_at_the_query_and_likeness_looks_at_others_only():
    near = truth.nearness_maps()
    assert (near[0].argmax(1) == torch.arange(256)).all()
    assert near[1, 0, 1] == pytest.approx(near[1, 0, 16].item())          # one step right, one step down
    assert near[1, 0, 1] > near[1, 0, 2]
    assert truth.likeness_maps("coffee").diagonal(dim1=1, dim2=2).max() == 0
    assert truth.centred_maps()[0].topk(4).indices.sort().values.tolist() == [7 * 16 + 7, 7 * 16 + 8, 8 * 16 + 7, 136]


def test_random_maps_have_a_mean_lift_of_one_and_the_best_of_many_has_more():
    where = truth.target(QUESTIONS[0])
    drawn = truth.random_lifts(where, 72, seed=0)
    assert drawn.shape == (truth.RANDOM_DRAWS, 72)
    assert drawn.mean() == pytest.approx(1, abs=0.15)
    assert drawn.amax(1).mean() > 4
    assert torch.equal(drawn, truth.random_lifts(where, 72, seed=0))
    assert not torch.equal(drawn, truth.random_lifts(where, 72, seed=1))


# The file


def test_the_file_holds_every_question_and_photograph_and_says_how_it_was_made():
    assert [(r["photograph"], tuple(r["query"]), tuple(r["partner"])) for r in RESULTS["questions"]] == [
        (q.photograph, q.query, q.partner) for q in QUESTIONS]
    assert [r["photograph"] for r in RESULTS["class_token"]] == list(PHOTOGRAPHS)
    assert RESULTS["command"] == truth_results.COMMAND
    assert RESULTS["settings"] == json.loads(json.dumps(truth_results._settings()))
    assert RESULTS["made_with"]["sha256"] == truth_results.WEIGHTS["vision-transformer"].sha256


def test_the_heads_named_are_those_that_the_rule_names_and_the_scores_follow_from_the_rows():
    heads = torch.tensor([row["heads"] for row in RESULTS["questions"]]).flatten(1)
    for choice, scored in zip(RESULTS["choice"], RESULTS["held_out"], strict=True):
        named = truth_results.chosen_on(heads, choice["chosen_on"])
        assert named | {"lift": None} == choice | {"lift": None}
        assert named["lift"] == pytest.approx(choice["lift"], rel=1e-3)
        assert truth_results.held_out(heads, choice["chosen_on"]) == pytest.approx(scored[NETWORK]["lift"], rel=1e-3)
        assert not set(choice["photographs"]) & set(scored[NETWORK]["lifts"])
        for family in (LIKENESS, NEARNESS):
            table = torch.tensor([row[family] for row in RESULTS["questions"]])
            best = table[:, truth.best_knowing_all(table)]
            expected = truth.geometric_mean(truth.by_photograph(best, HALVES[truth_results.OTHER[choice["chosen_on"]]]))
            assert scored[family]["lift"] == pytest.approx(expected.item(), rel=1e-2)
    for row in RESULTS["questions"]:
        best = torch.tensor(row["heads"]).flatten()
        assert row["best"]["lift"] == pytest.approx(best.max().item(), abs=1e-3)
        named = next(c for c in RESULTS["choice"] if row["photograph"] not in c["photographs"])
        assert (row["named_elsewhere"]["layer"], row["named_elsewhere"]["head"]) == (named["layer"], named["head"])
        assert row["named_elsewhere"]["lift"] == pytest.approx(
            row["heads"][named["layer"]][named["head"]], abs=1e-3)


def test_every_halving_is_counted():
    rows = {row["of"]: row for row in RESULTS["halvings"]}
    assert rows[NETWORK]["halvings"] == 252
    assert sum(head["times"] for head in rows[NETWORK]["heads"]) == 252


@pytest.fixture(scope="module")
def maps() -> dict[str, torch.Tensor]:
    net = pretrained.vision_transformer()
    return {name: truth.network_maps(net, name) for name in ("chelsea", "rocket", "hubble_deep_field")}


def test_rows_come_out_again_from_the_weights(maps):
    for question in (q for q in QUESTIONS if q.photograph in maps):
        by_query = truth.lifts(maps[question.photograph], question)
        stored = row_of(question)
        assert stored["queries"] == by_query.shape[-1]
        assert torch.allclose(by_query.mean(-1), torch.tensor(stored["heads"]), rtol=2e-3, atol=2e-3)
        interval = truth.interval(by_query.flatten(0, 1)[truth_results._number(stored["best"])], torch.mean)
        assert interval == pytest.approx(stored["best"]["interval"], rel=2e-3, abs=2e-3)


def test_the_maps_of_the_named_heads_come_out_again(maps):
    for question in (q for q in QUESTIONS if q.photograph in maps):
        row = row_of(question)
        head = truth_results._number(row["named_elsewhere"])
        stored = torch.tensor(row["map"])
        assert torch.allclose(truth_results.asked(maps, question, head), stored, atol=2e-5)
        assert truth.lift(stored, truth.target(question)).item() == pytest.approx(
            row["named_elsewhere"]["lift"], rel=5e-3)


def test_pairs_compare_the_same_photograph():
    lifts = {"a": 4.0, "b": 1.0, "c": 6.0}
    other = {"a": 1.0, "b": 2.0, "c": 0.0}
    made = {"held_out": [{NETWORK: {"lifts": lifts}, LIKENESS: {"lifts": other}}]}
    found = truth_results.paired(made, LIKENESS)
    assert found["ratios"] == {"a": 4, "b": 0.5, "c": 600}          # what is below LEAST_LIFT counts as that
    assert found["mean"] == pytest.approx(1200 ** (1 / 3))
    assert found["interval"][0] < found["mean"] < found["interval"][1]
    assert found["ahead"] == 2


def test_the_clearest_question_is_that_on_which_controls_do_worst():
    def row(lift, colour, near):
        return {"named_elsewhere": {"lift": lift}, LIKENESS: colour, NEARNESS: near}

    rows = [row(9, [1, 9], [1]), row(4, [1, 2], [0.5]), row(3, [0.1], [1, 6])]
    assert truth_results.clearest({"questions": rows}) == [rows[1], rows[0], rows[2]]


def test_no_temperature_is_better_for_colour_over_all_photographs():
    table = torch.tensor([row[LIKENESS] for row in RESULTS["questions"]])
    means = truth.geometric_mean(truth.by_photograph(table, PHOTOGRAPHS))
    assert truth_results.temperature(RESULTS) == truth.TEMPERATURES[means.argmax()] == 1.0


def test_controls_come_out_again():
    for i, question in enumerate(QUESTIONS):
        row = RESULTS["questions"][i]
        assert truth.lifts(truth.nearness_maps(), question).mean(1).tolist() == pytest.approx(row[NEARNESS], abs=1e-3)
        like = truth.lifts(truth.likeness_maps(question.photograph), question).mean(1)
        assert like.tolist() == pytest.approx(row[LIKENESS], rel=1e-2, abs=1e-2)
        best = truth.random_lifts(truth.target(question), 72, seed=i).amax(1)
        assert best.mean().item() == pytest.approx(row["best_random"]["mean"], rel=1e-3)
        assert row["uniform"] == 1
    fresh = truth.network_maps(truth.untrained(3), "chelsea")
    question = next(q for q in QUESTIONS if q.photograph == "chelsea")
    found = truth.lifts(fresh.flatten(0, 1), question).mean(1).max().item()
    assert found == pytest.approx(row_of(question)["best_untrained"][3], rel=1e-2)


def test_a_head_on_other_photographs_comes_out_again(maps):
    question = next(q for q in QUESTIONS if q.photograph == "chelsea")
    lifts = truth_results.lifts_elsewhere(maps, question)
    assert lifts.shape == (2, 72)                                        # its own photograph is left out
    assert torch.allclose(lifts[1], truth.lifts(maps["hubble_deep_field"], question).mean(-1).flatten())


def test_the_class_tokens_rows_come_out_again(maps):
    for name, of in maps.items():
        stored = next(row for row in RESULTS["class_token"] if row["photograph"] == name)
        mean, where = truth.class_token_maps(of).mean(0), truth.main_object(name)
        assert truth.lift(mean, where).item() == pytest.approx(stored["lift"], rel=2e-3)
        assert (mean * where).sum().item() == pytest.approx(stored["inside"], rel=2e-3)
        assert torch.allclose(mean, torch.tensor(stored["map"]), atol=2e-5)
        assert truth.lift(truth.centred_maps(), where).tolist() == pytest.approx(stored["centred"], rel=1e-3)


# The command, with maps that are made up


@pytest.fixture
def made_up(monkeypatch):
    """A network whose head 31 puts most weight on every partner, and untrained ones that are noise."""
    def made_up_maps(net, photograph):
        generator = torch.Generator().manual_seed(PHOTOGRAPHS.index(photograph))
        maps = torch.rand(12, 6, 257, 257, generator=generator).softmax(-1)
        for question in (q for q in QUESTIONS if net == "trained" and q.photograph == photograph):
            on = torch.nn.functional.pad(truth.target(question), (1, 0))
            maps[5, 1, truth.queries(question) + 1] = on / on.sum()
        return maps

    monkeypatch.setattr(pretrained, "vision_transformer", lambda: "trained")
    monkeypatch.setattr(truth, "untrained", lambda seed: "untrained")
    monkeypatch.setattr(truth, "network_maps", made_up_maps)


@pytest.mark.thorough
def test_the_command_names_heads_first_and_scores_them_then(made_up, tmp_path, capsys):
    path = tmp_path / "truth.json"
    assert lab_command.main(["truth", "--file", str(path)]) == 2
    assert "no results" in capsys.readouterr().err
    assert lab_command.main(["truth", "--choose", "--file", str(path)]) == 0
    assert "layer 5, head 1" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"truth.json has no questions; make it with: python -m"):
        truth_results.load(path)
    assert lab_command.main(["truth", "--file", str(path)]) == 0
    results = truth_results.load(path)
    for row in results["held_out"]:
        assert (row["layer"], row["head"]) == (5, 1)
        assert row[NETWORK]["lift"] > 10
        assert row[ELSEWHERE]["lift"] < 3
        assert all(0.9 < value < 1.1 for value in row["untrained"])


def test_heads_that_the_rule_does_not_name_are_not_scored(made_up, tmp_path):
    path: Path = tmp_path / "truth.json"
    truth_results.choose(path)
    path.write_text(path.read_text().replace('"layer": 5', '"layer": 4'))
    with pytest.raises(ValueError, match=r"truth\.json names other heads than its rule does now"):
        truth_results.score(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"names no heads; name them first with: .* --choose"):
        truth_results.score(path)
    path.write_text("[1, 2")
    with pytest.raises(ValueError, match=r"truth\.json is not JSON"):
        truth_results.load(path)


# What the first page says of its three questions

FIRST_PAGE = [("astronaut", "name badge", 0.50, 0.03), ("chelsea", "right eye", 0.71, 0.15),
              ("coffee", "rim, right", 0.10, 0.20)]


@pytest.mark.parametrize(("photograph", "region", "by_head", "by_colour"), FIRST_PAGE)
def test_the_first_pages_links_show_what_it_says(photograph, region, by_head, by_colour):
    """The weight on the partner, of the patch that the link asks from; random weights spread theirs almost evenly."""
    question = next(one for one in QUESTIONS if one.photograph == photograph and one.query[0] == region)
    asks, named = seen.patch_of(photograph, region), seen.named_head(photograph)
    trained, untrained = (truth.network_maps(net, photograph)[named["layer"], named["head"], 1 + asks, 1:]
                          for net in (pretrained.vision_transformer(), truth.untrained(0)))
    colour = truth.likeness_maps(photograph)[truth.TEMPERATURES.index(seen.temperature()), asks]
    partner = truth.target(question)
    assert (float(trained @ partner), float(colour @ partner)) == pytest.approx((by_head, by_colour), abs=0.01)
    assert untrained.max() < 2 / 257
    if photograph == "astronaut":
        flag, person = (regions.coverage(regions.region(photograph, name), 16).flatten() for name in ("flag", "person"))
        assert colour @ flag > 5 * by_colour
        assert colour @ person > 0.5


def test_anyone_means_every_patch_of_neither_region(maps):
    question = next(q for q in QUESTIONS if q.photograph == "chelsea")
    asking = [i for i in range(256) if truth.target(question)[i] == 0 and i not in truth.queries(question)]
    layer, head = 8, 3
    weights = maps["chelsea"][layer, head, 1:, 1:]
    by_hand = []
    for i in asking:
        row = weights[i].clone()
        row[i] = 0
        by_hand.append(truth.lift(row / row.sum(), truth.target(question)))
    found = truth_results.lifts_of_anyone(maps, question)[6 * layer + head]
    assert found.item() == pytest.approx(torch.stack(by_hand).mean().item(), abs=1e-4)
    assert len(asking) > 200


def test_the_partner_is_found_by_those_who_ask_for_it():
    for row in RESULTS["held_out"]:
        for name, lift in row[NETWORK]["lifts"].items():
            assert lift > 1.3 * row[ANYONE]["lifts"][name]
