"""The experiments on trained networks: their parts by hand, their file, and rows of it measured again."""

import json
import re
from statistics import fmean

import pytest
import torch
from safetensors.torch import save

from attention_lite import ECAAttention, SEAttention, record_attention
from attention_lite.lab import experiments, external_figures, photographs, pretrained, regions, truth
from attention_lite.lab.__main__ import main
from attention_lite.lab.experiments import EXPERIMENTS, Experiment, crops, gates, keys, likeness, slots
from attention_lite.lab.measuring import processor
from attention_lite.networks.text_detector import TextDetector
from attention_lite.networks.vision_transformer import VisionTransformer


@pytest.fixture(autouse=True)
def one_thread():
    """As the command has it: the last bits of sums, of which a training makes more, are the file's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict]:
    return experiments.load()


# Rows of the shipped file, measured again

SAMPLES = [
    ("slots", {"kind": "external attention", "fold": 2, "seed": 1}),
    ("slots", {"kind": "plain softmax", "fold": 0, "seed": 0}),
    ("slots", {"kind": "untrained", "fold": 4, "seed": 2}),
    ("slots", {"kind": "k-means", "fold": 1, "seed": 0}),
    ("slots", {"kind": "k-means of colour and texture", "fold": 3, "seed": 1}),
    ("slots", {"kind": "k-means of places", "fold": 0, "seed": 2}),
    ("keys", {"photograph": "rocket", "layers": "last six", "square": 2}),
    ("keys", {"photograph": "grass", "layers": "all twelve", "square": 8}),
    ("deletion", {"photograph": "coffee"}),
    ("gates", {"block": "stages.0.0.se", "split": 0}),
    ("gates", {"block": "smooths.3.se", "split": 4}),
    ("eight-bits", {"photograph": "rocket"}),
    ("likeness", {"features": "trained", "layer": 6, "centred": True, "seed": 0}),
    ("likeness", {"features": "untrained", "layer": 12, "centred": True, "seed": 1}),
    ("likeness", {"features": "colour and texture", "layer": 0, "centred": False, "seed": 0}),
]


# Trained anew on a processor with other instructions a memory ends elsewhere: scores of single regions move by a tenth.
# Their mean, which is what the book tells, does not, and it is what is compared.
TRAINED_MEMORIES = ("external attention", "plain softmax")


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "run"), SAMPLES, ids=lambda value: str(value))
def test_a_row_of_the_shipped_file_is_measured_again(name, run, shipped):
    stored = next(row for row in shipped[name]["rows"] if run.items() <= row.items())
    stored = {key: value for key, value in stored.items() if key not in ("seconds", "processor")}
    found = run | EXPERIMENTS[name].measure(**run)
    if run.get("kind") in TRAINED_MEMORIES:
        for scores in ("best", "named"):
            one, other = fmean(leaves(stored[scores])), fmean(leaves(found[scores]))
            assert one == pytest.approx(other, abs=0.02), scores
            found[scores] = stored[scores]
    assert_near(stored, found)


def leaves(scores):
    """All numbers of nested dicts."""
    return [number for value in scores.values()
            for number in (leaves(value) if isinstance(value, dict) else [value])]


def assert_near(stored, found, at=""):
    """Equal names and structure; numbers within what another machine's sums make of a training."""
    if isinstance(stored, dict):
        assert stored.keys() == found.keys(), at
        for key in stored:
            assert_near(stored[key], found[key], f"{at}/{key}")
    elif isinstance(stored, list):
        assert len(stored) == len(found), at
        for i, (one, other) in enumerate(zip(stored, found, strict=True)):
            assert_near(one, other, f"{at}/{i}")
    elif isinstance(stored, float):
        assert found == pytest.approx(stored, abs=0.02, rel=0.02), at
    else:
        assert found == stored, at


# Slots


def test_overlaps_are_intersection_over_union_with_shares():
    group = torch.tensor([0, 0, 1, 2])
    found = slots.overlaps(group, torch.tensor([1.0, 0.5, 0.5, 0.0]))
    assert found[:4].tolist() == pytest.approx([1.5 / 2.5, 0.5 / 2.5, 0.0, 0.0])
    assert found.shape == (slots.SLOTS,)


def test_every_photograph_with_regions_is_left_out_once_and_trained_on_otherwise():
    left_out = [name for fold in range(5) for name in slots.LEFT_OUT[fold]]
    assert sorted(left_out) == sorted(regions.drawn())
    for fold in range(5):
        assert set(slots.trained_on(fold)) == set(regions.drawn()) - set(slots.LEFT_OUT[fold])


def test_the_truth_has_the_main_object_and_no_region_below_four_patches():
    for name in regions.drawn():
        shares = slots.truth(name)
        assert next(iter(shares)) == "main"
        assert all(share.sum() >= 4 for region, share in shares.items() if region != "main")
    assert "spoon, tip" not in slots.truth("coffee")
    assert "cup" not in slots.truth("coffee")                    # it is the main object


def test_what_patches_take_is_of_the_memory_that_has_not_seen_them():
    memory, standard = slots.load_memory(slots.memory_of("chelsea"))
    assert "chelsea" not in slots.trained_on(slots.memory_of("chelsea"))
    x = standard.of(crops.middle("chelsea"))[None]
    assert torch.equal(slots.shares("external attention", "chelsea"), memory.attention(x)["slot"][0, 0])
    for kind in ("untrained", "k-means"):
        taken = slots.shares(kind, "chelsea")
        torch.testing.assert_close(taken.sum(1), torch.ones(256))
        assert (taken.amax(1) == 1).all() == (kind == "k-means")
    with pytest.raises(ValueError, match="kind must be one of external attention, untrained, k-means; got 'plain'"):
        slots.shares("plain", "chelsea")


def test_the_named_slot_overlaps_the_object_as_was_measured():
    rows = {row["fold"]: row for row in experiments.load()["slots"]["rows"]
            if row["kind"] == "external attention" and row["seed"] == 0}
    for name in ("flower", "astronaut"):
        group = slots.shares("external attention", name).argmax(1)
        found = slots.overlaps(group, slots.truth(name)["main"])[external_figures.named_slot(name)]
        assert found == pytest.approx(rows[slots.memory_of(name)]["named"][name]["main"], abs=0.02)


def test_plain_softmax_differs_from_external_attention_in_the_first_normalisation_alone():
    plain, double = slots.PlainSoftmax(8, S=3), slots.ExternalAttention(8, S=3)
    double.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 8)
    logits = x @ plain.M_k.weight.T
    torch.testing.assert_close(plain.attention(x)["slot"][:, 0], logits.softmax(2))
    torch.testing.assert_close(plain(x), logits.softmax(2) @ plain.M_v.weight.T)
    assert not torch.allclose(double.attention(x)["slot"], plain.attention(x)["slot"])


def test_k_means_gives_back_the_middle_of_each_group():
    x = torch.arange(slots.SLOTS).float().repeat(3)[None, :, None] * 10
    model = slots.KMeans(x, seed=0)
    torch.testing.assert_close(model(x), x)
    assert len(slots.groups(model, x).unique()) == slots.SLOTS


def test_training_a_memory_lowers_its_error_and_leaves_the_random_numbers_alone():
    x = torch.randn(4, 16, 8, generator=torch.Generator().manual_seed(0))
    before = torch.random.get_rng_state()
    errors = [(slots.train(slots.ExternalAttention, x, 0, steps)(x) - x).square().mean() for steps in (0, 50, 400)]
    assert errors[2] < errors[1] < errors[0]
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("fold", range(5))
def test_a_shipped_memory_groups_the_patches_as_its_row_says(fold, shipped):
    memory, standard = slots.load_memory(fold)
    run = {"kind": "external attention", "fold": fold, "seed": 0}
    row = next(row for row in shipped["slots"]["rows"] if run.items() <= row.items())
    for name in slots.LEFT_OUT[fold]:
        assert slots.memory_of(name) == fold
        group = slots.groups(memory, standard.of(crops.middle(name))[None])[0]
        found = {region: slots.overlaps(group, share).max().item() for region, share in slots.truth(name).items()}
        assert found == pytest.approx(row["best"][name], abs=0.02)        # half precision moves a patch or two


def test_a_memory_that_is_not_there_or_damaged_says_how_it_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"fold must be one of 0 to 4, got 5"):
        slots.load_memory(5)
    with pytest.raises(ValueError, match=r"no memory .*fold-0.*; make it with: python -m attention_lite\.lab exp"):
        slots.load_memory(0, tmp_path)
    for damage in (b"", (slots.FOLDER / "fold-0.safetensors").read_bytes()[:-5], save({"mean": torch.ones(384)})):
        (tmp_path / "fold-0.safetensors").write_bytes(damage)
        with pytest.raises(ValueError, match=r"fold-0\.safetensors is not such a memory .*make it anew with"):
            slots.load_memory(0, tmp_path)
    with pytest.raises(ValueError, match=r"photograph must be one of astronaut, .*; got 'grass'"):
        slots.memory_of("grass")


def test_only_missing_memories_are_trained_and_all_are_written_in_half_precision(tmp_path, monkeypatch):
    trained = []

    def fit(kind: str, fold: int, seed: int) -> tuple[slots.ExternalAttention, slots.Standard]:
        trained.append((kind, fold, seed))
        return slots.ExternalAttention(384, S=slots.SLOTS), slots.Standard(torch.ones(384), torch.ones(384), None)
    monkeypatch.setattr(slots, "fit", fit)
    slots.store_memories(tmp_path / "new")
    (tmp_path / "new" / "fold-3.safetensors").unlink()
    slots.store_memories(tmp_path / "new")
    assert trained == [("external attention", fold, 0) for fold in (0, 1, 2, 3, 4, 3)]
    assert all(path.stat().st_size < 40_000 for path in (tmp_path / "new").iterdir())


# Keys


@pytest.fixture(scope="module")
def small() -> VisionTransformer:
    torch.manual_seed(0)
    net = VisionTransformer(d_model=12, depth=3, h=2, grid=16).eval()
    with torch.no_grad():
        for layer in net.layers:
            layer.attention.W_Q.weight.mul_(30)                  # maps far from uniform
    return net


IMAGE = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("everything", [keys.averaged(1), keys.counted(1), keys.chosen(torch.arange(256).flip(0))])
@torch.no_grad()
def test_as_many_keys_as_patches_change_nothing(small, everything):
    with keys.fewer_keys(small, range(3), everything):
        found = small(IMAGE)
    torch.testing.assert_close(found, small(IMAGE), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_fewer_keys_are_read_in_the_given_layers_alone_and_the_network_is_as_it_was_afterwards(small):
    before = small(IMAGE)
    with keys.fewer_keys(small, range(1, 3), keys.averaged(4)), record_attention(small) as maps:
        inside = small(IMAGE)
    assert [maps[f"layers.{i}.attention"]["position"].shape[-1] for i in range(3)] == [257, 17, 17]
    assert not torch.allclose(inside, before, atol=1e-3)
    assert torch.equal(small(IMAGE), before)


@torch.no_grad()
def test_a_key_that_is_repeated_weighs_as_much_as_the_patches_it_stands_for(small):
    x = torch.randn(1, 257, 12, generator=torch.Generator().manual_seed(1))
    block = small.layers[0].attention
    once = block.attention(x, keys.averaged(4)(x))["position"]
    often = block.attention(x, keys.counted(4)(x))["position"]
    weighed = once * torch.tensor([1.0] + [16.0] * 16)
    weighed = weighed / weighed.sum(-1, keepdim=True)
    torch.testing.assert_close(often[..., 1:].unflatten(-1, (16, 16)).sum(-1), weighed[..., 1:])
    torch.testing.assert_close(often[..., 0], weighed[..., 0])


def test_a_square_of_patches_becomes_their_mean():
    x = torch.zeros(1, 257, 1)
    x[0, 1:, 0] = (torch.arange(256) // 16 < 2).logical_and(torch.arange(256) % 16 < 2).float()
    assert keys.averaged(2)(x)[0, :, 0].tolist() == [0, 1] + [0] * 63
    assert keys.averaged(4)(x)[0, :2, 0].tolist() == [0, 0.25]


def test_random_places_are_as_many_as_there_are_squares_and_differ_from_draw_to_draw():
    for square in keys.SQUARES:
        drawn = [keys.random_places(square, draw) for draw in range(keys.DRAWS)]
        assert all(len(places.unique()) == (16 // square) ** 2 for places in drawn)
        assert len({tuple(places.tolist()) for places in drawn}) == keys.DRAWS


# Gates


def test_the_blocks_are_those_of_the_detector():
    found = [name for name, module in TextDetector().named_modules() if isinstance(module, SEAttention)]
    assert sorted(found) == sorted(gates.BLOCKS)


@pytest.mark.thorough
@torch.no_grad()
def test_the_recorded_gates_are_what_each_block_makes_of_the_recorded_pooled_vectors():
    net = pretrained.text_detector()
    for name in gates.BLOCKS:
        z, recorded = gates.recorded()[name]
        assert len(z) == len(gates.NAMES) * gates.CROPS
        found = net.get_submodule(name).attention(z[..., None, None])["channel"]
        torch.testing.assert_close(found, recorded, atol=1e-5, rtol=0)


def test_a_split_divides_whole_photographs():
    parts = gates.split_of(1)
    photographs = [{i // gates.CROPS for i in part.tolist()} for part in parts]
    assert [len(names) for names in photographs] == [8, 3, 3]
    assert set.union(*photographs) == set(range(len(gates.NAMES)))
    assert sorted(torch.cat(parts).tolist()) == list(range(len(gates.NAMES) * gates.CROPS))
    assert len({tuple(gates.split_of(split)[2].tolist()) for split in range(gates.SPLITS)}) == gates.SPLITS


def test_r2_is_zero_for_the_mean_and_one_for_the_gates_themselves():
    found = torch.rand(10, 4)
    mean = torch.rand(4)
    assert gates.explained(found, found, mean) == 1
    assert gates.explained(found, mean.expand(10, -1), mean) == 0
    assert gates.explained(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [1.0]]), torch.tensor([0.5])) == 0.5


@pytest.mark.parametrize("name", gates.imitators(16))
def test_every_imitator_starts_at_the_mean_gates_and_sees_the_channels_it_should(name):
    channel, mean = 16, torch.linspace(0.1, 0.9, 16)
    torch.manual_seed(0)
    model = gates.start_at_mean(gates.imitators(channel)[name](), mean)
    torch.testing.assert_close(torch.sigmoid(model[-1].bias if name.startswith("bottleneck") else model.bias), mean)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 + torch.rand_like(parameter))     # no weight is 0, and no hidden unit is off
    seen = torch.autograd.functional.jacobian(lambda z: model(z[None])[0], torch.ones(channel)) != 0
    places = torch.arange(channel)
    if name.startswith("eca, shuffled"):
        order = torch.randperm(channel, generator=torch.Generator().manual_seed(int(name[-1])))
        places = order.argsort()
    reach = {"weight a channel": 0, "eca": 1, "eca, shuffled": 1}.get(name.rstrip(" 0123456789"), channel)
    assert torch.equal(seen, (places[:, None] - places).abs() <= reach)


def test_eca_without_offset_is_the_papers():
    model, block = gates.eca_without_offset(24), ECAAttention(24)
    block.conv.load_state_dict(model[1].state_dict())
    z = torch.randn(3, 24)
    torch.testing.assert_close(torch.sigmoid(model(z)), block.attention(z[..., None, None])["channel"])


def test_a_fit_stops_where_it_does_best_on_the_photographs_set_aside():
    torch.manual_seed(0)
    z = torch.randn(60, 4)
    wanted = torch.sigmoid(2 * z)
    parts = torch.arange(60).split(20)
    found = gates.fit(gates.start_at_mean(gates.Alone(4), wanted[:20].mean(0)), z, wanted, parts)
    assert found["fitted"] > 0.9
    assert found["left_out"] > 0.9
    backwards = wanted.clone()
    backwards[20:40] = 1 - backwards[20:40]                      # there, every step away from the mean is a loss
    stopped = gates.fit(gates.start_at_mean(gates.Alone(4), wanted[:20].mean(0)), z, backwards, parts)
    assert stopped["fitted"] == pytest.approx(0, abs=1e-4)


# Likeness


@pytest.mark.parametrize("centred", [False, True])
def test_weights_are_a_softmax_of_squared_distances_between_unit_tokens_without_the_place_itself(centred):
    tokens = torch.randn(5, 3, dtype=torch.float64)
    found = likeness.weights(tokens, centred)
    moved = tokens - tokens.mean(0) if centred else tokens
    unit = moved / moved.norm(dim=1, keepdim=True)
    for i in range(5):
        for option, temperature in list(enumerate(likeness.TEMPERATURES))[2:]:       # below, exp underflows to 0
            terms = torch.stack([torch.exp(-((unit[i] - unit[j]) ** 2).sum() / temperature) * (i != j)
                                 for j in range(5)])
            torch.testing.assert_close(found[option, i], terms / terms.sum())


def test_elsewhere_means_the_other_photographs():
    """On maps that are equal on all photographs it makes no difference; else it does."""
    own, elsewhere = (likeness.lifts(features, 6, True, 0) for features in ("trained", "trained, elsewhere"))
    question = truth.QUESTIONS[4]
    by_hand = torch.stack([truth.lifts(likeness.maps(name, "trained", 6, True, 0), question).mean(1)
                           for name in truth.PHOTOGRAPHS if name != question.photograph]).mean(0)
    torch.testing.assert_close(elsewhere[4], by_hand)
    assert not torch.allclose(own[4], elsewhere[4])


# Crops


def test_crops_lie_in_the_photograph_and_are_the_same_for_one_seed():
    found = crops.crops("coffee", 50, 0.3, seed=0)
    height, width = photographs.load("coffee").shape[:2]
    for crop in found:
        assert 0 <= crop.top <= height - crop.side
        assert 0 <= crop.left <= width - crop.side
        assert 0.3 * height - 1 <= crop.side <= height
    assert found == crops.crops("coffee", 50, 0.3, seed=0)
    assert found[:3] != crops.crops("coffee", 3, 0.3, seed=1)
    assert torch.equal(crops.pixels(crops.middle("coffee")), photographs.picture(photographs.load("coffee")))


# The file


def made_up(calls: list | None = None, settings: dict | None = None) -> dict[str, Experiment]:
    def measure(run: int) -> dict:
        if calls is not None:
            calls.append(run)
        return {"value": run / 3, "deep": {"values": [run / 7]}}
    return {name: Experiment([{"run": 0}, {"run": 1}, {"run": 2}], measure, "text-detector", settings or {"steps": 3})
            for name in ("one", "two")}


@pytest.fixture
def invented(monkeypatch):
    """Two experiments that measure nothing, and the list of what they were asked for."""
    calls: list = []
    monkeypatch.setattr(experiments, "EXPERIMENTS", made_up(calls))
    return calls


def test_rows_are_made_once_rounded_and_in_order(tmp_path, invented):
    path = tmp_path / "deeper" / "a.json"
    assert experiments.make(["two"], path)
    assert invented == [0, 1, 2]
    assert experiments.make(["one", "two"], path)
    assert invented == [0, 1, 2, 0, 1, 2]
    found = experiments.load(path)
    assert list(found) == ["one", "two"]
    row = found["one"]["rows"][1]
    assert row == {"run": 1, "value": 0.3333, "deep": {"values": [0.1429]}, "seconds": row["seconds"],
                   "processor": processor()}
    assert 0 <= row["seconds"] < 60
    assert found["one"]["settings"] == {"steps": 3}
    assert found["one"]["made_with"]["torch"] == torch.__version__
    assert sum(line.startswith('{"run"') for line in path.read_text().splitlines()) == 6


def test_what_is_done_is_kept_and_only_the_rest_is_made(tmp_path, invented):
    path = tmp_path / "a.json"
    assert not experiments.make(["one", "two"], path, stop=lambda: len(invented) == 4)
    assert invented == [0, 1, 2, 0]
    results = json.loads(path.read_text())
    del results["one"]["rows"][1]
    path.write_text(json.dumps(results))
    assert experiments.make(["one", "two"], path)
    assert invented == [0, 1, 2, 0, 1, 1, 2]
    assert [row["run"] for row in experiments.load(path)["one"]["rows"]] == [0, 1, 2]


def test_rows_of_other_settings_or_versions_are_made_anew(tmp_path, monkeypatch, invented):
    path = tmp_path / "a.json"
    experiments.make(["one", "two"], path)
    invented.clear()
    monkeypatch.setattr(experiments, "EXPERIMENTS", made_up(invented, {"steps": 4}))
    experiments.make(["one"], path)
    assert invented == [0, 1, 2]
    results = json.loads(path.read_text())
    results["one"]["made_with"]["torch"] = "1.0"
    path.write_text(json.dumps(results))
    invented.clear()
    experiments.make(["one"], path)
    assert invented == [0, 1, 2]


DAMAGE = {
    "a row less": (lambda f: f["one"]["rows"].pop(1), "a.json: one must hold one row {'run': 1}, got 0; make it with: "
                                                      "python -m attention_lite.lab experiments one"),
    "a row twice": (lambda f: f["one"]["rows"].append(f["one"]["rows"][2]), "one must hold one row {'run': 2}, got 2"),
    "another row": (lambda f: f["two"]["rows"].append({"run": 7}), "a.json: two must hold 3 rows, got 4"),
    "no experiment": (lambda f: f.pop("two"), "no rows of two; make them with: python -m attention_lite.lab experim"),
    "no rows": (lambda f: f["one"].pop("rows"), "a.json: one must hold a list of rows; make it anew with"),
    "a list": (lambda f: f.update(one=[]), "a.json: one must hold a list of rows; make it anew with"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(damage, tmp_path, invented):
    hurt, message = DAMAGE[damage]
    path = tmp_path / "a.json"
    experiments.make(["one", "two"], path)
    contents = json.loads(path.read_text())
    hurt(contents)
    path.write_text(json.dumps(contents))
    with pytest.raises(ValueError, match=re.escape(message)):
        experiments.load(path)["two"]


@pytest.mark.parametrize(("text", "message"), [
    ("", "is not JSON"), ("{", "is not JSON"), ("[1]", "must hold an object, got list")])
def test_what_is_no_such_json_is_refused_and_left_as_it_is(text, message, tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        experiments.load(path)
    assert main(["experiments", "likeness", "--file", str(path)]) == 2
    assert message in capsys.readouterr().err
    assert path.read_text() == text


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"no results .*a\.json; make them with: python -m attention_lite\.lab exp"):
        experiments.load(tmp_path / "a.json")


def test_an_unknown_experiment_is_refused_before_any_work(tmp_path, capsys):
    assert main(["experiments", "likeness", "heads", "--file", str(tmp_path / "a.json")]) == 2
    assert f"name must be one of {', '.join(EXPERIMENTS)}; got 'heads'" in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path, invented, capsys):
    (tmp_path / "file").write_text("")
    assert main(["experiments", "one", "--file", str(tmp_path / "file" / "a.json")]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert invented == []


def test_the_shipped_file_was_made_with_the_settings_of_today(shipped):
    assert {"slots", "keys", "gates", "likeness"} <= set(shipped)
    for name in shipped:
        experiment = EXPERIMENTS[name]
        assert shipped[name]["settings"] == experiment.settings
        assert all(any(run.items() <= row.items() for run in experiment.runs) for row in shipped[name]["rows"])
