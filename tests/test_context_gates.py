"""The fair controls of a channel gate, against a reader whose answers are known by construction, and as trained."""

import math

import pytest
import torch
from torch import nn

from attention_lite.lab import (
    ContextGating,
    ask_for,
    context_gates,
    load_checkpoint,
    masks,
    scoring,
    untrained,
)
from attention_lite.lab.training import pictures


class KnownGates(nn.Module):
    """A gate for each colour of the frame, open where channels 3 to 5 say so, and open ones for these three."""

    def attention(self, x):
        return {"channel": torch.cat([x[:, 3:, 0, 0], torch.ones(len(x), 3)], 1)}


class Reader(nn.Module):
    """Reads the digit of the channel, of three, that is strongest behind its gate; features as `features` below."""

    def __init__(self, scenes):
        super().__init__()
        self.stem, self.block, self.tail = nn.Identity(), KnownGates(), nn.Identity()
        self.label = scenes.label

    def head(self, strongest):
        digit = self.label.gather(1, strongest[:, :3].argmax(1)[:, None])[:, 0]
        return torch.eye(10)[digit]


@pytest.fixture
def scenes():
    return ContextGating("test").sample(90, seed=4)


@pytest.fixture
def reader(scenes, monkeypatch):
    """The reader, for whom pictures are drawn as its features: channels 0 to 2 are the three digits, and 3 to 5 say
    everywhere which is asked for.
    """
    def drawn(these):
        on = scoring.on_grid(masks(these), (16, 16)).float()
        said = torch.eye(3)[these.target][:, :, None, None].expand(-1, -1, 16, 16)
        return torch.cat([on, said], 1)

    monkeypatch.setattr(context_gates, "pictures", drawn)
    monkeypatch.setattr(context_gates, "BATCH", len(scenes))        # the reader looks its labels up by their order
    return Reader(scenes)


def test_the_means_are_those_of_the_frames(scenes, reader):
    assert torch.equal(context_gates.mean_gates(reader, scenes), torch.cat([torch.eye(3), torch.ones(3, 3)], 1))


def test_a_reader_that_obeys_its_gates_is_found_to(scenes, reader):
    mean = context_gates.mean_gates(reader, scenes)
    found = context_gates.under_other_gates(reader, scenes, mean)
    assert tuple(found) == context_gates.SOURCES
    own, alike, other, average, off = found.values()
    assert own == alike == (1, 0, 1, 1, 1)
    assert other == (0, 1, 1, 0, 0)
    # All gates alike: the first of three equal channels is read, and it is the one asked for in a third of the scenes.
    red = (scenes.target == 0).float().mean().item()
    assert average.asked == off.asked == pytest.approx(red)
    assert average.any == off.any == 1
    assert math.isnan(average.raised)
    assert not math.isnan(off.raised)


def test_next_alike_is_another_scene_of_the_same_frame(scenes):
    following = context_gates._next_alike(scenes.target)
    assert torch.equal(scenes.target[following], scenes.target)
    assert (following != torch.arange(len(scenes))).all()
    assert sorted(following.tolist()) == list(range(len(scenes)))


def test_means_on_objects_are_means_not_sums():
    x, where = torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4, dtype=torch.bool)
    x[0, 0, 0, 0], x[0, 0, 2:], x[0, 1, 2] = 3, 1, 5
    where[0, 0, 0, 0], where[0, 1, 2:] = True, True
    assert context_gates.means_on(x, where).tolist() == [[[3, 0], [1, 2.5], [0, 0]]]


def test_own_gates_give_the_network_itself(scenes, monkeypatch):
    net, _ = load_checkpoint("context-gating", "se", 1)
    drawn = pictures(scenes)
    x = context_gates.features(net, drawn)
    with torch.no_grad():
        whole, m = net(drawn), net.block(x).sum(1)
        s = net.block.attention(x)["channel"]
    assert torch.allclose(context_gates.scores(net, x, s), whole, atol=1e-4)
    on = scoring.on_grid(masks(scenes), x.shape[2:])
    means = torch.stack([torch.stack([m[i][w].mean() for w in on[i]]) for i in range(len(m))])
    right = (means.argmax(1) == scenes.target).float().mean().item()

    monkeypatch.setattr(context_gates, "PART", 40)                  # the last part is smaller
    found = context_gates.under_other_gates(net, scenes, context_gates.mean_gates(net, scenes))["its own"]
    assert found.brightest == pytest.approx(right, abs=1e-6)
    assert found.asked == pytest.approx(scoring.accuracy(net, scenes), abs=1e-6)


def test_a_trained_network_reads_what_its_gates_ask_for_and_an_untrained_one_does_not(scenes):
    nets = load_checkpoint("context-gating", "se", 1)[0], untrained("context-gating", "se", 1)
    trained, fresh = (context_gates.under_other_gates(net, scenes, context_gates.mean_gates(net, scenes))
                      for net in nets)
    assert trained["its own"].asked > 0.8 > 0.2 > trained["its own"].other
    assert trained["another frame's"].other > 0.8 > 0.2 > trained["another frame's"].asked
    assert max(trained["all gates 1"][:2]) < 0.5 < trained["all gates 1"].any
    assert trained["its own"].raised > 0.9 > trained["its own"].brightest
    assert max(outcome.asked for outcome in fresh.values()) < 0.5


def test_hidden_units_of_seed_1_say_blue_by_silence(scenes):
    net, _ = load_checkpoint("context-gating", "se", 1)
    fires = context_gates.firing(net, scenes)
    assert fires.shape == (3, 12)
    assert fires[2].max() < 0.05 < 0.95 < fires[:2].amax(1).min()


def test_a_sum_before_a_relu_shuts_channels_as_a_gate_does_and_nothing_shuts_them_without_a_block(scenes):
    shut = {model: context_gates.shut_channels(load_checkpoint("context-gating", model, 0)[0], scenes)
            for model in ("se", "added-context", "none")}
    assert shut["se"] > shut["added-context"] > 10
    assert shut["none"] == 0


def test_the_middle_sees_a_digit_without_a_block_and_all_with_one(scenes):
    seen = {model: context_gates.seen_by_the_middle(load_checkpoint("context-gating", model, 0)[0],
                                                    pictures(scenes[:1])) > 0 for model in ("none", "se")}
    assert seen["se"].all()
    rows, columns = torch.where(seen["none"])
    assert len(rows) == 15 * 15
    assert rows.max() - rows.min() == columns.max() - columns.min() == 14


def test_a_missing_frame_is_named(scenes):
    net, _ = load_checkpoint("context-gating", "se", 1)
    with pytest.raises(ValueError, match="none that asks for digit 0"):
        context_gates.mean_gates(net, ask_for(scenes, 2))


# The file


@pytest.mark.parametrize(("model", "seed"), [("se", 1), ("added-context", 0)])
def test_a_row_of_the_shipped_file_is_measured_again(model, seed):
    stored = next(row for row in context_gates.load()[model] if row["seed"] == seed)
    found = context_gates.measure(model, seed)
    assert stored.keys() == found.keys()
    for key, value in stored.items():
        near = value if isinstance(value, str) else pytest.approx(value, abs=1 if key == "shut" else 0.003)
        assert found[key] == near, key


def test_the_file_is_written_whole_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(context_gates, "measure", lambda model, seed: {"model": model, "seed": seed, "shut": 7})
    path = tmp_path / "a.json"
    context_gates.make(path)
    found = context_gates.load(path)
    assert [len(found[model]) for model in context_gates.MODELS] == [5, 3]
    path.write_text(path.read_text().replace('{"model": "se", "seed": 3, "shut": 7},\n', ""))
    with pytest.raises(ValueError, match=r"a\.json must hold a row for each seed of se, \(0, 1, 2, 3, 4\); make it"):
        context_gates.load(path)
