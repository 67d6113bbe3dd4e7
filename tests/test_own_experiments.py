"""The experiments on the lab's own networks: what each changes, by hand, and rows of the file measured again."""

import functools
import hashlib

import pytest
import torch
from test_experiments import assert_near
from torch import Tensor, nn

from attention_lite import BAMBlock, ChannelAttentionModule
from attention_lite.lab import (
    RECIPES,
    Scenes,
    ask_for,
    checkpoints,
    disc_mask,
    draw,
    experiments,
    load_checkpoint,
    map_figures,
    masks,
    photographs,
    pictures,
    scoring,
    untrained,
)
from attention_lite.lab.experiments import (
    EXPERIMENTS,
    coarse_keys,
    cues,
    denoising,
    frame_gates,
    gates,
    kernels,
    lines,
    loudness,
    neighbours,
    own,
    painted_over,
    shares,
    sums,
    switched_off,
    two_more,
)
from attention_lite.lab.runs import TEST_SEED
from attention_lite.networks import residual_net, scale_net
from attention_lite.psa import PSA


def few(task: str) -> Scenes:
    return RECIPES[task].task("test").sample(40, TEST_SEED)


SAMPLES = [
    ("hidden-units", {"task": "any-size", "model": "psa", "seed": 0, "trained": True}),
    ("frame-gates", {"task": "context-gating", "model": "se", "seed": 1}),
    ("cues", {"task": "cued-search", "model": "none", "seed": 1}),
    ("coarse-keys", {"task": "cued-search", "model": "emsa-4", "seed": 0}),
    ("outputs", {"task": "one-digit", "model": "external", "seed": 1}),
    ("strengths", {"task": "cued-segmentation", "model": "danet-position", "seed": 1}),
    ("denoising", {"photograph": "china", "seed": 2}),
    ("exchanged-lines", {"task": "one-digit-residual", "model": "coordinate-plain", "seed": 1}),
    ("forced-shares", {"task": "any-size", "model": "psa-even", "seed": 0}),
    ("one-map", {"task": "context-gating", "model": "global-context", "seed": 1}),
    ("no-weights", {"task": "one-digit-residual", "model": "none", "seed": 2}),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "run"), SAMPLES, ids=lambda value: str(value))
def test_a_row_of_the_shipped_file_is_measured_again(name, run):
    stored = next(row for row in experiments.load()[name]["rows"] if run.items() <= row.items())
    made = {"checkpoint", "seconds", "processor"}
    assert_near({key: value for key, value in stored.items() if key not in made},
                run | EXPERIMENTS[name].measure(**run))
    assert made - {"checkpoint"} <= stored.keys()


def test_the_shipped_rows_are_of_the_checkpoints_that_are_shipped():
    for name, part in experiments.load().items():
        if EXPERIMENTS[name].network == experiments.LAB:
            for row in part["rows"]:
                if "model" in row:
                    assert row["checkpoint"] == own.mark(row), f"make it anew with: {experiments.COMMAND} {name}"


def test_the_rows_of_a_checkpoint_that_was_trained_anew_are_made_anew(tmp_path, monkeypatch):
    run = {"task": "one-digit", "seed": 0}
    runs, asked = [run | {"model": model} for model in ("none", "se")], []
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"one": experiments.Experiment(
        runs, lambda **run: asked.append(run["model"]) or {"value": 1}, experiments.LAB, {})})
    folder, path = tmp_path / "checkpoints", tmp_path / "a.json"
    folder.mkdir()
    for run in runs:
        checkpoints.path_of(**run, folder=folder).write_bytes(b"first")
    monkeypatch.setattr(checkpoints, "mark", functools.partial(checkpoints.mark, folder=folder))
    assert experiments.make(["one"], path)
    assert experiments.load(path)["one"]["rows"][0]["checkpoint"] == hashlib.sha256(b"first").hexdigest()[:16]
    (folder / "one-digit--se--0.safetensors").write_bytes(b"second")
    assert experiments.make(["one"], path)
    assert asked == ["none", "se", "se"]
    assert len({row["checkpoint"] for row in experiments.load(path)["one"]["rows"]}) == 2


# Parts set to zero


def test_only_what_is_named_is_set_to_zero():
    net, _ = load_checkpoint("cued-segmentation", "danet", 0)
    cut = switched_off.without(net, "alpha")
    before, after = dict(net.named_parameters()), dict(cut.named_parameters())
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["block.position.alpha"]
    assert after["block.position.alpha"] == 0
    with pytest.raises(ValueError, match="names must be of the network's parameters, got 'gamma'"):
        switched_off.without(net, "alpha", "gamma")


def test_without_its_output_a_block_of_tokens_hands_on_what_it_got():
    net, _ = load_checkpoint("one-digit", "external", 0)
    features = net.stem(pictures(few("one-digit")))
    with torch.no_grad():
        assert torch.equal(switched_off.without(net, "W_O").block(features), features)
        assert not torch.allclose(net.block(features), features, atol=0.1)


@pytest.mark.parametrize("published", [False, True])
def test_scores_between_channels_are_multiplied(published):
    block = nn.Sequential(ChannelAttentionModule(published))
    x = torch.randn(2, 5, 3, 3)
    scores = (-1 if published else 1) * x.flatten(2) @ x.flatten(2).mT
    sharper = switched_off.sharpened(block, 4.0)[0]
    torch.testing.assert_close(sharper.attention(x)["channel_to_channel"], (4 * scores).softmax(-1))
    nn.init.ones_(sharper.beta)
    torch.testing.assert_close(sharper(x), x + ((4 * scores).softmax(-1) @ x.flatten(2)).unflatten(2, (3, 3)))
    torch.testing.assert_close(block[0].attention(x)["channel_to_channel"], scores.softmax(-1))


# Gates of context gating


@pytest.mark.parametrize("model", ["se", "eca", "added-context"])
@torch.no_grad()
def test_a_networks_own_numbers_give_its_own_answers(model):
    net, scenes = own.load("context-gating", model, 0), few("context-gating")
    features = net.stem(pictures(scenes))
    torch.testing.assert_close(frame_gates.passed(net, features), net.block(features))
    numbers = frame_gates.signal(net.block, features)
    read = frame_gates.answers(net, frame_gates.passed(net, features, numbers))
    assert torch.equal(read, scoring.predictions(net, scenes))
    nothing = torch.zeros(48) if model == "added-context" else torch.ones(48)
    torch.testing.assert_close(frame_gates.passed(net, features, nothing), features)


def test_the_brightest_digit_is_found_on_features_painted_by_hand():
    scenes = few("context-gating")
    painted = nn.functional.adaptive_avg_pool2d(masks(scenes), (16, 16))                 # (n, 3, 16, 16)
    asked = torch.nn.functional.one_hot(scenes.target, 3)[:, :, None, None]
    assert frame_gates.brightest_is_asked_for(scenes, painted * asked) == 1
    assert frame_gates.brightest_is_asked_for(scenes, painted * (1 - asked)) == 0


@pytest.mark.parametrize("model", ["eca", "eca-shuffled"])
@torch.no_grad()
def test_only_the_line_or_the_kernel_of_eca_is_changed(model):
    net, scenes = own.load("context-gating", model, 0), few("context-gating")
    features = net.stem(pictures(scenes))
    z, (block, line) = features.mean((2, 3)), neighbours.line_of(net.block)
    as_trained = frame_gates.signal(net.block, features)
    torch.testing.assert_close(neighbours.gates_in(block, z, line), as_trained)
    w = block.conv.weight.detach()[0, 0].clone()
    torch.testing.assert_close(neighbours.gates_in(neighbours.hears(block, True), z, line), torch.sigmoid(w[1] * z))
    outer = nn.functional.pad(z[:, line], (1, 1))
    torch.testing.assert_close(neighbours.gates_in(neighbours.hears(block, False), z, line)[:, line],
                               torch.sigmoid(w[0] * outer[:, :-2] + w[2] * outer[:, 2:]))
    back = neighbours.gates_in(block, z, line[neighbours.orders()["reversed"]])
    block.conv.weight.copy_(w.flip(0)[None, None])
    torch.testing.assert_close(neighbours.gates_in(block, z, line), back)


def test_rows_are_grouped_by_their_kernels_and_averaged():
    rows = [{"kernel": [1.0, -1.5, 0.2], "a": [0.2, 0.4]}, {"kernel": [0.0, 1.0, -1.0], "a": [1.0, 0.0]}]
    groups = neighbours.by_kernel(rows)
    assert groups == {"hears itself most": rows[:1], "hears a neighbour as much": rows[1:]}
    found = neighbours.shares(groups, {"a": "A"})
    assert found == {"A": {"hears itself most": [pytest.approx(0.3)], "hears a neighbour as much": [0.5]}}
    splits = [{"block": name, "eca": {"left_out": value}} for name, value in (("x", 0.2), ("x", 0.4), ("y", 1.0))]
    assert gates.left_out(splits, {"eca": "ECA"}) == {"ECA": [pytest.approx(0.3), 1.0]}


def test_averages_of_pixels_keep_a_flat_picture_and_decibels_are_those_of_the_error():
    flat = torch.full((12, 12, 3), 0.4)
    for method in denoising.METHODS.values():
        torch.testing.assert_close(method(flat, 3), flat)
    assert denoising.psnr(flat + 0.1, flat) == pytest.approx(20, abs=1e-4)
    assert denoising.psnr(denoising.add_noise(flat), flat) == pytest.approx(20, abs=1)
    edge = torch.cat([torch.zeros(12, 6, 3), torch.ones(12, 6, 3)], 1)
    torch.testing.assert_close(denoising.like(edge, 0.01), edge)
    assert denoising.box(edge, 3)[5, 5, 0] == pytest.approx(1 / 3)


class KnownGates(nn.Module):
    """A gate for each colour of the frame, open where channels 3 to 5 say so, and open ones for these three."""

    def attention(self, x):
        return {"channel": torch.cat([x[:, 3:, 0, 0], torch.ones(len(x), 3)], 1)}


class Reader(nn.Module):
    """Reads the digit of the channel, of three, that is strongest behind its gate."""

    def __init__(self, scenes):
        super().__init__()
        self.stem, self.block, self.tail, self.label = nn.Identity(), KnownGates(), nn.Identity(), scenes.label

    def head(self, strongest):
        digit = self.label.gather(1, strongest[:, :3].argmax(1)[:, None])[:, 0]
        return torch.eye(10)[digit]


def test_a_reader_that_obeys_its_gates_is_found_to(monkeypatch):
    """Its channels 0 to 2 are the three digits, and 3 to 5 say everywhere which is asked for."""
    scenes = few("context-gating")
    on = scoring.on_grid(masks(scenes), (16, 16)).float()
    said = torch.eye(3)[scenes.target][:, :, None, None].expand(-1, -1, 16, 16)
    reader, features = Reader(scenes), torch.cat([on, said], 1)
    monkeypatch.setattr(own, "pictures", lambda these: features)
    by_frame = frame_gates.means_by_frame(reader, scenes)
    assert torch.equal(by_frame, torch.cat([torch.eye(3), torch.ones(3, 3)], 1))

    numbers = frame_gates.others(frame_gates.signal(reader.block, features), scenes.target, by_frame, torch.ones(6))
    without = frame_gates.passed(reader, features, numbers["the mean gates"])
    found = {source: frame_gates.outcome(reader, scenes, frame_gates.passed(reader, features, s), without)
             for source, s in numbers.items()}
    own_gates, alike, other, mean, off = found.values()
    assert own_gates == alike == {"asked": 1, "other": 0, "any": 1, "brightest": 1, "raised": 1}
    assert other == {"asked": 0, "other": 1, "any": 1, "brightest": 0, "raised": 0}
    # All gates alike: the first of three equal channels is read, and it is the one asked for where the frame is red.
    red = own.share(scenes.target == 0)
    assert mean["asked"] == off["asked"] == pytest.approx(red)
    assert mean["any"] == off["any"] == 1
    assert "raised" not in mean
    assert "raised" in off
    row = {source: {"asked": 0.5} for source in frame_gates.SOURCES}
    assert frame_gates.shares([row, row], {"asked": "read"})["its own"] == {"read": [0.5, 0.5]}


def test_next_alike_is_another_scene_of_the_same_frame():
    target = few("context-gating").target
    following = frame_gates.next_alike(target)
    assert torch.equal(target[following], target)
    assert (following != torch.arange(len(target))).all()
    assert sorted(following.tolist()) == list(range(len(target)))


def test_a_missing_frame_is_named():
    net = own.load("context-gating", "se", 1)
    with pytest.raises(ValueError, match="none that asks for digit 0"):
        frame_gates.means_by_frame(net, ask_for(few("context-gating"), 2))


def test_a_trained_network_reads_what_its_gates_ask_for_and_an_untrained_one_does_not(monkeypatch):
    scenes = few("context-gating")
    monkeypatch.setattr(own, "test_scenes", lambda task: scenes)
    monkeypatch.setattr(own, "validation_scenes", lambda task: scenes)
    trained = frame_gates.measure("context-gating", "se", 1)
    assert trained["its own"]["asked"] > 0.8 > 0.2 > trained["its own"]["other"]
    assert trained["another frame's"]["other"] > 0.8 > 0.2 > trained["another frame's"]["asked"]
    assert trained["all gates 1"]["asked"] < 0.5 < trained["all gates 1"]["any"]
    assert trained["its own"]["raised"] > 0.9
    assert trained["units that fire"] == [1, 1, 0]           # this network says blue by silence
    monkeypatch.setattr(own, "load", lambda *run: untrained(*run))
    fresh = frame_gates.measure("context-gating", "se", 1)
    assert max(fresh[source]["asked"] for source in frame_gates.SOURCES) < 0.5


def test_the_middle_sees_a_digit_without_a_block_and_all_with_one():
    drawn = pictures(few("context-gating")[:1])
    seen = {model: frame_gates.seen_by_the_middle(own.load("context-gating", model, 0), drawn) > 0
            for model in ("none", "se")}
    assert seen["se"].all()
    rows, columns = torch.where(seen["none"])
    assert len(rows) == 15 * 15
    assert rows.max() - rows.min() == columns.max() - columns.min() == 14


# Maps of CBAM and BAM


def test_what_is_painted_is_the_lowest_half_or_the_highest_fifth():
    order, images = torch.arange(100.0).reshape(1, 10, 10), torch.ones(1, 3, 20, 20)
    low, high = painted_over.painted(images, order, 0.5, True), painted_over.painted(images, order, 0.2, False)
    assert (low[:, :, :10] == 0).all()
    assert (low[:, :, 10:] == 1).all()
    assert (high[:, :, 16:] == 0).all()
    assert (high[:, :, :16] == 1).all()


@pytest.mark.parametrize("model", ["cbam", "cbam-average", "cbam-plain", "bam"])
def test_own_gates_put_back_change_nothing_and_others_do(model):
    net, images = own.load("one-digit-residual", model, 0), pictures(few("one-digit-residual"))
    with torch.no_grad():
        scores, given = painted_over.run(net, images, lambda i, gates: gates)
        torch.testing.assert_close(scores, net(images))
        assert len(given) == (2 if model == "bam" else 3)
        others = painted_over.run(net, images, lambda i, gates: (gates[0], gates[1].roll(1, 0)))[0]
        assert not torch.allclose(others, scores, atol=1e-3)


def test_own_lines_put_back_change_nothing_and_others_do():
    net, images = own.load("one-digit-residual", "coordinate-plain", 0), pictures(few("one-digit-residual"))
    with torch.no_grad():
        scores, given, features = lines.run(net, images, lambda i, gates: gates)
        torch.testing.assert_close(scores, net(images))
        assert [tuple(rows.shape[1:]) for rows, _ in given] == [(24, 24), (32, 12), (32, 12)]
        last = net.blocks[2].gate.attention(features)
        torch.testing.assert_close(given[2], (last["rows"], last["columns"]))
        assert not any(block.gate._forward_hooks for block in net.blocks)
        others = lines.run(net, images, lambda i, gates: (gates[0], gates[1].roll(1, 0)))[0]
        assert not torch.allclose(others, scores, atol=1e-3)
        once = lines.run(net, images, lambda i, gates: lines.level(gates) if i == 0 else gates)[0]
        assert not torch.allclose(once, scores, atol=1e-3)


def test_the_own_map_put_back_changes_nothing_and_another_does():
    net, scenes = own.load("context-gating", "global-context", 2), few("context-gating")
    x, given = net.stem(pictures(scenes)), net(pictures(scenes)).argmax(1)
    a = net.block.attention(x)["context"].detach()
    assert torch.equal(two_more.read_under(net, x, a), given)
    assert not torch.equal(two_more.read_under(net, x, torch.full_like(a, 1 / a[0].numel())), given)


def test_level_lines_say_nothing_of_a_place_and_keep_each_channels_mean():
    rows, columns = torch.rand(2, 3, 4), torch.rand(2, 3, 5)
    even = lines.level((rows, columns))
    for own_lines, found in zip((rows, columns), even, strict=True):
        assert found.shape == own_lines.shape
        assert (found == found[..., :1]).all()
        torch.testing.assert_close(found.mean(2), own_lines.mean(2))


def test_crossed_lines_are_the_mean_of_the_channels_products():
    rows, columns = torch.rand(2, 3, 4), torch.rand(2, 3, 5)
    found = lines.crossed((rows, columns))
    assert found.shape == (2, 4, 5)
    assert found[1, 2, 4].item() == pytest.approx(sum((rows[1, c, 2] * columns[1, c, 4]).item() for c in range(3)) / 3)


@pytest.mark.parametrize("model", ["cbam", "bam"])
def test_the_map_that_ranks_is_the_blocks_and_the_features_are_its_input(model):
    net, images = own.load("one-digit-residual", model, 0), pictures(few("one-digit-residual"))
    block = painted_over.BLOCK[model]
    maps, sizes = painted_over.seen(net, images, block)
    with torch.no_grad():
        given = painted_over.run(net, images, lambda i, gates: gates)[1]
        torch.testing.assert_close(maps, given[block][1])
        if model == "bam":
            torch.testing.assert_close(sizes, net.blocks[0](net.stem(images)).abs().mean(1))


def test_rankings_that_know_nothing_of_a_picture_are_the_same_for_all(monkeypatch):
    monkeypatch.setattr(own, "test_scenes", few)
    monkeypatch.setattr(own, "validation_scenes", few)
    torch.manual_seed(0)
    orders = painted_over.rankings(residual_net("cbam").eval(), "one-digit-residual", 2)
    for name in ("one fixed map", "disc in the middle"):
        assert (orders[name] == orders[name][0]).all()
    assert orders["disc in the middle"][0].flatten().argmax() in (65, 66, 77, 78)        # a corner of the middle
    assert torch.equal(orders["another picture's map"][1], orders["own map"][0])
    assert orders["one fixed map"][0] == pytest.approx(orders["own map"].mean(0))


def test_near_the_digit_are_its_places_and_their_neighbours_and_no_others():
    scenes = few("one-digit-residual")
    near, on = painted_over.near_the_digit(scenes, (12, 12)), scoring.on_grid(masks(scenes)[:, 0], (12, 12))
    for n, i, j in near.nonzero().tolist():
        assert on[n, max(0, i - 1):i + 2, max(0, j - 1):j + 2].any()
    assert near[on].all()
    assert not near.all(1).any(1).any()


def test_remainders_tell_a_map_of_period_four_and_no_other():
    torch.manual_seed(0)
    striped, noise = torch.randn(30, 4, 4).repeat(1, 3, 3), torch.randn(30, 12, 12)
    assert map_figures.told_by_remainder(striped, 4) == pytest.approx(1)
    assert abs(map_figures.told_by_remainder(striped, 3)) < 0.1
    assert abs(map_figures.told_by_remainder(noise, 4)) < 0.1


def test_a_place_sees_the_lattice_of_its_dilation():
    torch.manual_seed(0)
    seen = map_figures.seen_from(BAMBlock(8, 2, dia_val=3).eval(), torch.randn(40, 8, 15, 15), 7, 7)
    rows, columns = (seen.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    assert rows == columns == [1, 4, 7, 10, 13]
    assert seen.sum() == 25


# SK and PSA


def test_variants_have_the_ink_that_their_names_say(monkeypatch):
    monkeypatch.setattr(own, "test_scenes", few)
    found = {name: (masks(scenes) * scenes.opacity[:, :, None, None]).sum((1, 2, 3)).mean().item()
             for name, scenes in kernels.variants().items()}
    assert found["no digit"] == 0
    assert found[kernels.NINE_INK] == pytest.approx(found["9 px"], rel=0.05)
    for side, opacity in kernels.SAME_INK.items():
        assert found[kernels.name_of(side, opacity)] == pytest.approx(found["16 px"], rel=0.05)
    assert found["28 px"] > 2.8 * found["16 px"]


def test_weights_are_those_of_the_wider_kernel():
    torch.manual_seed(0)
    net, scenes = scale_net("sk").eval(), few("any-size")
    found = kernels.weights(net, scenes)
    assert found.shape == (40, 3, 32)
    with torch.no_grad():
        x = net.blocks[0].reduce(net.stem(pictures(scenes)))
    torch.testing.assert_close(found[:, 0], net.blocks[0].middle.attention(x)["kernel"][:, 1])


def test_the_probe_tells_groups_apart_that_differ_and_only_those():
    torch.manual_seed(0)
    one, other = torch.randn(400, 5), torch.randn(400, 5)
    assert kernels.told_apart(one, other) == pytest.approx(0.5, abs=0.08)
    assert kernels.told_apart(one, other + torch.tensor([0, 0, 9.0, 0, 0])) > 0.98


def test_a_hidden_unit_fires_where_its_weights_say_so():
    block, x = PSA(16, reduction=4, groups=(1, 1, 1, 1)), torch.ones(3, 16, 6, 6)
    for conv, weight in zip(block.convs, block.weights, strict=True):
        nn.init.ones_(conv.weight)
        nn.init.constant_(weight.W0.weight, -1.0)
    assert (kernels.fired(block, x) == 0).all()
    nn.init.ones_(block.weights[2].W0.weight)
    assert kernels.fired(block, x).flatten().tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("model", ["sk", "psa", "psa-open"])
def test_forced_weights_take_the_place_of_the_blocks_own_and_leave_no_trace(model):
    torch.manual_seed(0)
    net, scenes = scale_net(model).eval(), few("any-size")
    images = pictures(scenes)
    read, given = shares.run(net, images)
    assert torch.equal(read, net(images).argmax(1))
    torch.testing.assert_close(given.sum(2), torch.ones_like(given[:, :, 0]))
    again, used = shares.run(net, images, given)
    assert torch.equal(again, read)
    assert torch.equal(used, given)
    _, used = shares.run(net, images, given[:, 0])
    assert (used == given[:, :1]).all()
    torch.testing.assert_close(shares.run(net, images)[1], given)


def test_tilts_are_the_furthest_that_a_softmax_of_sigmoids_gets():
    furthest = torch.tensor([1.0, 0, 0, 0]).softmax(0)
    for m, tilt in zip(shares.TILTED, shares.tilts((3, 4, 8)).values(), strict=True):
        torch.testing.assert_close(tilt.sum(1), torch.ones(3, 8))
        assert tilt[:, m].max() == tilt.max() == pytest.approx(furthest[0].item())
    assert pytest.approx(torch.tensor([0.0, 1, 1, 1]).softmax(0)[0].item()) == shares.LOWEST


def test_lost_and_won_scenes_are_counted_apart():
    right, before = torch.tensor([1, 1, 0, 0, 0]).bool(), torch.tensor([1, 0, 1, 1, 0]).bool()
    assert shares.outcome(right, before) == {"right": pytest.approx(0.4), "lost": 2, "won": 1}


# EMSA


def test_sizes_of_outputs_are_those_that_reach_the_last_projection():
    net, _ = load_checkpoint("cued-search", "emsa-4", 0)
    features, caught = net.stem(pictures(few("cued-search"))), []
    handle = net.block.block.W_O.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    with torch.no_grad():
        net.block(features)
        values, normed, plain, loud = loudness.sizes(net.block, features)
    handle.remove()
    torch.testing.assert_close(normed, caught[0].square().mean((1, 2)))
    assert (plain < values).all()                        # averages of values are smaller than the values
    assert (loud > 1).all()


# Coarse keys


def test_equal_weights_give_the_disc_its_share_and_one_key_at_most_the_best():
    scenes = few("cued-search")
    for side in (12, 6, 3):
        keys = coarse_keys.disc_of_keys(scenes, side)
        equal = torch.full((len(scenes), 1, 144, side * side), 1 / side ** 2)
        torch.testing.assert_close(coarse_keys.weight_on_disc(equal, scenes)[:, 0], keys.mean(1))
        assert ((keys >= 0) & (keys <= 1 + 1e-6)).all()


@torch.no_grad()
def test_a_block_with_its_own_norm_given_back_answers_as_before():
    net, images = own.load("cued-search", "emsa", 1), pictures(few("cued-search"))
    whole = net(images)
    with coarse_keys.normed_by(net, lambda A, sigma: (A - 1 / A.shape[-1]) / sigma):
        torch.testing.assert_close(net(images), whole, atol=1e-3, rtol=1e-3)
    with coarse_keys.normed_by(net, lambda A, sigma: A):
        assert not torch.allclose(net(images), whole, atol=0.1)
    assert torch.equal(net(images), whole)
    A = coarse_keys.softmaxed(net, images)
    torch.testing.assert_close(A.sum(-1), torch.ones(A.shape[:-1]))


# Grounds


def test_scenes_on_other_grounds_are_the_same_digits_on_that_sides_photographs():
    scenes = few("cued-search")
    moved = scenes.replace(grounds="train")
    assert set(moved.photographs) <= set(photographs.SPLITS["train"])
    assert set(scenes.photographs) == set(photographs.SPLITS["test"])
    solid = {"opacity": torch.ones_like(scenes.opacity), "light": torch.ones(len(scenes))}
    one, other = (draw(s.replace(**solid)) for s in (scenes, moved))
    ink = (masks(scenes) == 1).any(1)[:, None].expand_as(one)
    assert torch.equal(one[ink], other[ink])
    assert not torch.allclose(one, other, atol=0.2)
    assert torch.equal(draw(scenes.replace(grounds="test")), draw(scenes))
    large: Tensor = draw(moved[:3], 2)
    assert (nn.functional.avg_pool2d(large, 2) - draw(moved[:3])).abs().mean() < 0.02


# Sums


def test_a_block_that_gets_its_own_sums_is_the_block():
    net, scenes = load_checkpoint("cued-search", "external", 0)[0], few("cued-search")
    with torch.no_grad():
        x = net.stem(pictures(scenes))
        found = sums.passed(net, x, sums.log_sums(net, x))
        torch.testing.assert_close(found, net.block(x), rtol=0, atol=1e-4)
        assert torch.equal(sums.answers(net, found), scoring.predictions(net, scenes))


def test_exchanged_sums_are_the_others_in_these_numbers_alone():
    one, other = torch.zeros(2, 3, 4), torch.arange(24.0).view(2, 3, 4) + 1
    found = sums.exchanged(one, other, torch.tensor([0, 6]))
    assert found.flatten(1).nonzero().tolist() == [[0, 0], [0, 6], [1, 0], [1, 6]]
    assert found[1, 1, 2] == other[1, 1, 2]
    assert not one.any()


def test_a_recoloured_discs_twin_is_another_scene():
    now = own.recoloured(few("cued-search"))
    assert (sums.nearest_disc(now) != torch.arange(len(now))).all()


def test_the_slots_peak_is_counted_on_the_disc():
    found = sums.at_the_disc(load_checkpoint("cued-search", "external", 0)[0], few("cued-search"))
    assert found.shape == (128,)
    assert found.min() >= 0
    assert found.max() <= 1


# Cued search under other cues


def test_a_recoloured_disc_asks_for_the_next_digit():
    scenes = few("cued-search")
    again = own.recoloured(scenes)
    assert torch.equal(again.target, (scenes.target + 1) % 3)
    assert (again.disc_colour == again.colour[torch.arange(40), again.target]).all()
    changed = (draw(again) != draw(scenes)).any(1)                      # (n, y, x)
    assert not (changed & (disc_mask(scenes) == 0)).any()


def test_as_many_places_of_the_ground_are_forbidden_as_of_the_disc_and_none_of_a_thing():
    where = cues.forbidden(few("cued-search"))
    assert (where["ground"].sum((1, 2)) <= where["disc"].sum((1, 2))).all()
    assert where["ground"].sum() > 0.95 * where["disc"].sum()
    assert not (where["ground"] & (where["disc"] | where["a digit"])).any()
    assert (cues.on_disc(few("cued-search")) <= where["disc"]).all()


def test_forbidding_nothing_changes_nothing_and_what_is_forbidden_gets_no_weight():
    net, scenes = own.load("cued-search", "self-attention", 0), few("cued-search")
    nothing = torch.zeros(40, 12, 12, dtype=torch.bool)
    assert torch.equal(cues.answers_without(net, scenes, nothing), scoring.predictions(net, scenes))
    with cues.forbidding(net, cues.around(cues.on_disc(scenes))):
        handle = net.block.block.register_forward_hook(
            lambda block, args, kwargs, _: found.append(block.attention(*args, **kwargs)["position"]), with_kwargs=True)
        found: list[Tensor] = []
        net(pictures(scenes))
        handle.remove()
    maps = scoring.query_maps(found[0].detach(), cues.covered(scenes), cues.GRID)
    assert scoring.mass_on(maps, cues.on_disc(scenes)[:, None]).max() == 0


def test_forbidding_to_heads_leaves_the_others_as_they_were():
    net, scenes = own.load("cued-search", "self-attention", 0), few("cued-search")
    disc, found = cues.around(cues.on_disc(scenes)), []
    net.block.block.register_forward_hook(
        lambda block, args, kwargs, _: found.append(block.attention(*args, **kwargs)["position"]), with_kwargs=True)
    net(pictures(scenes))
    with cues.forbidding(net, disc, [1, 2]):
        net(pictures(scenes))
    before, after = found
    assert torch.equal(before[:, [0, 3]], after[:, [0, 3]])
    assert not (after[:, [1, 2]] * disc.flatten(1)[:, None, None]).any()
    assert torch.equal(cues.answers_without(net, scenes, disc, range(4)), cues.answers_without(net, scenes, disc))


def test_maps_that_need_no_network_sum_to_one_and_fall_with_the_distance():
    scenes = few("cued-search")
    for make in (cues.nearness, cues.likeness_of_colour):
        A = make(scenes, 1.0)
        torch.testing.assert_close(A.sum(3), torch.ones(40, 1, 144))
        assert (A.diagonal(dim1=2, dim2=3) > 0.99 * A.amax(3)).all()    # rounding aside
