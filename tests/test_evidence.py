"""What weights are held against: on weights made by hand, where every answer is known beforehand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attention_lite import AttentionBlock
from attention_lite.lab import RECIPES, Scenes, disc_mask, evidence, pictures, target_mask, untrained
from attention_lite.lab.scoring import on_grid
from attention_lite.networks import context_net, search_net

GRID = (12, 12)


class Told(AttentionBlock):
    """A block that changes nothing and has the weights that it is told, for the features that it sees."""

    def __init__(self, weights: Callable[[Tensor], dict[str, Tensor]]) -> None:
        super().__init__()
        self.weights = weights

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        return self.weights(x)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Knowing(nn.Module):
    """A network that knows its scenes: it finds the one that a picture is of, whatever was taken away.

    `told` are the weights of its block, one row a scene.  `right(x, i)` says which of the pictures x, of the scenes i,
    it reads right; the others it reads wrong. The stem is there for its features, whose lengths are a test's.
    """

    grid, width = GRID, 10

    def __init__(self, scenes: Scenes, told: dict[str, Tensor], right: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.scenes, self.right, self.known = scenes, right, pictures(scenes).flatten(1)
        self.stem = nn.AvgPool2d(4)
        self.block = Told(lambda x: {name: t[self.find(x)] for name, t in told.items()})

    def find(self, x: Tensor) -> Tensor:
        return torch.cdist(x[:, :3].flatten(1), self.known).argmin(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        i = self.find(x)
        answer = torch.where(self.right(x, i), self.scenes.answer[i], (self.scenes.answer[i] + 1) % 10)
        return nn.functional.one_hot(answer, 10).float()


def always(x: Tensor, i: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool)


def sample(task: str, n: int = 130) -> Scenes:
    """More than are looked at in one go."""
    assert n > evidence.CHUNK or n < 100
    return RECIPES[task].task("test").sample(n, 0)


# Weights as maps


def test_a_shrunken_map_shares_each_weight_among_the_places_it_stands_for():
    A = torch.zeros(1, 2, 16, 4)
    A[0, 0, :] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    A[0, 1, 5] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    maps = evidence.pair_maps({"position": A}, 16)
    assert maps.shape == (1, 2, 16, 16)
    upper, lower = [0.1, 0.1, 0.2, 0.2], [0.3, 0.3, 0.4, 0.4]
    expected = torch.tensor([upper, upper, lower, lower]) / 4
    for query in (0, 7, 15):
        torch.testing.assert_close(maps[0, 0, query].view(4, 4), expected)
    assert maps[0, 1, 5].view(4, 4)[:2, 2:].sum() == 1     # the upper right quarter
    assert maps[0, 1, 4].sum() == 0                        # a query without weights keeps none


def test_weights_below_zero_are_left_out():
    A = torch.tensor([[-1.0, 0.5, 1.5, 0.0], [0.25, 0.25, 0.25, 0.25], [-1, -2, -3, -4], [2, -1, 0, 0]])[None, None]
    kept = A.clone()
    maps = evidence.pair_maps({"position": A}, 4)
    expected = torch.tensor([[0.0, 0.25, 0.75, 0.0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 0], [1, 0, 0, 0]])
    torch.testing.assert_close(maps[0, 0], expected)
    assert torch.equal(A, kept)
    assert evidence.pair_maps({"channel": torch.rand(1, 4)}, 4) is None


def test_maps_of_places_of_each_kind():
    spatial, gate = torch.rand(2, 3, 3), torch.rand(2, 5, 3, 3)
    maps = evidence.place_maps({"channel": torch.rand(2, 5), "spatial": spatial}, (3, 3))
    assert torch.equal(maps, spatial[:, None])
    maps = evidence.place_maps({"channel_and_place": gate, "channel_logits": torch.rand(2, 5)}, (3, 3))
    torch.testing.assert_close(maps, torch.stack([g.mean(0) for g in gate])[:, None])
    slot = torch.rand(2, 2, 9, 4)                          # two heads of four slots, over nine places
    maps = evidence.place_maps({"slot": slot}, (3, 3))
    assert maps.shape == (2, 8, 3, 3)
    for head in range(2):
        for number in range(4):
            assert torch.equal(maps[1, 4 * head + number], slot[1, head, :, number].view(3, 3))
    A = torch.rand(2, 3, 9, 9).softmax(-1)
    maps = evidence.place_maps({"position": A, "channel_to_channel": torch.rand(2, 5, 5)}, (3, 3))
    assert maps.shape == (2, 3, 3, 3)
    torch.testing.assert_close(maps[0, 2, 1, 2], A[0, 2, :, 5].mean())                  # how much place 5 is read
    for none in ({"channel": torch.rand(2, 5)}, {"kernel": torch.rand(2, 2, 5)}, {}):
        assert evidence.place_maps(none, (3, 3)) is None


def test_weights_of_the_whole_picture():
    channel, branches, pairs = torch.rand(2, 5), torch.rand(2, 3, 5), torch.rand(2, 5, 5)
    assert torch.equal(evidence.picture_weights({"channel": channel, "spatial": torch.rand(2, 3, 3)}), channel)
    assert torch.equal(evidence.picture_weights({"kernel": branches}), branches.flatten(1))
    assert torch.equal(evidence.picture_weights({"split": branches}), branches.flatten(1))
    assert torch.equal(evidence.picture_weights({"position": pairs, "channel_to_channel": pairs}), pairs.flatten(1))
    gate = torch.rand(2, 5, 3, 3)
    torch.testing.assert_close(evidence.picture_weights({"channel_and_place": gate}), gate.mean((2, 3)))
    assert evidence.picture_weights({"position": pairs}) is None
    assert evidence.picture_weights({"slot": pairs}) is None


@pytest.mark.parametrize(("model", "names"), [
    ("se", {"channel"}), ("cbam", {"channel", "spatial"}), ("sk", {"kernel"}), ("psa", {"split"}),
    ("bam", {"channel_and_place", "channel_logits", "spatial_logits"}), ("emsa", {"position"}), ("external", {"slot"}),
    ("danet", {"position", "channel_to_channel"}), ("self-attention", {"position"}), ("none", set()), ("conv", set())])
def test_the_weights_of_a_network_are_those_of_its_outermost_block(model, names):
    net = search_net(model).eval()
    images = torch.rand(2, 3, 48, 48)
    assert set(evidence.weights_of(net, images)) == names
    assert all(len(w) == 2 and not w.requires_grad for w in evidence.weights_of(net, images).values())


# The three questions


def test_gates_that_follow_the_cue_explain_it_and_others_do_not():
    scenes = sample("context-gating")
    follow = nn.functional.one_hot(scenes.target, 10).float()
    assert evidence.cue_in_weights(Knowing(scenes, {"channel": follow}, always), scenes) == pytest.approx(1)
    chance = torch.rand(130, 10, generator=torch.Generator().manual_seed(0))
    assert evidence.cue_in_weights(Knowing(scenes, {"channel": chance}, always), scenes) < 0.05
    both = torch.cat([follow, follow.roll(1, 0)], 1)       # a branch that follows, and one that follows another scene
    assert 0.4 < evidence.cue_in_weights(Knowing(scenes, {"kernel": both[:, None]}, always), scenes) < 0.6


def test_the_mass_that_queries_on_the_digit_put_on_the_disc():
    scenes = sample("cued-search")
    disc, digit = (on_grid(mask(scenes), GRID).flatten(1).float() for mask in (disc_mask, target_mask))
    uniform = torch.full((130, 144, 144), 1 / 144)
    on_disc = (disc / disc.sum(1, keepdim=True))[:, None].expand(-1, 144, -1)
    only_digit = torch.where(digit[:, :, None] > 0, on_disc, uniform)    # what other queries do is not asked
    only_others = torch.where(digit[:, :, None] > 0, uniform, on_disc)
    heads = torch.stack([uniform, on_disc, only_digit, only_others], 1)
    found = evidence.mass_on_disc(Knowing(scenes, {"position": heads}, always), scenes)
    share = disc.mean().item()
    assert found.tolist() == pytest.approx([share, 1, 1, share], abs=1e-5)
    assert evidence.chance("cued-search", scenes, GRID) == pytest.approx(share)


def test_how_often_a_map_points_at_the_digit():
    scenes = sample("one-digit")
    digit = on_grid(target_mask(scenes), GRID).float()
    inside, beside = digit.clone(), 1 - digit
    half = torch.where(torch.arange(130)[:, None, None] < 65, inside, beside)
    maps = torch.stack([beside, half, inside], 1)          # (n, M, h, w), told as the slots of one head
    slots = maps.flatten(2).transpose(1, 2)[:, None]
    found = evidence.points_at_digit(Knowing(scenes, {"slot": slots}, always), scenes)
    assert found.tolist() == pytest.approx([0, 0.5, 1])
    assert evidence.chance("one-digit", scenes, GRID) == pytest.approx(digit.mean().item())
    assert evidence.chance("context-gating", scenes, GRID) == 0


def test_the_map_is_chosen_on_the_validation_side(monkeypatch):
    validation, test = sample("one-digit", 5), sample("one-digit", 6)
    answers = {5: torch.tensor([0.2, 0.9, 0.5]), 6: torch.tensor([0.8, 0.3, 1.0])}
    monkeypatch.setitem(evidence.QUESTIONS, "one-digit", lambda net, scenes: answers[len(scenes)])
    chosen, score = evidence.map_score("one-digit", nn.Identity(), validation, test)
    assert (chosen, score) == (1, pytest.approx(0.3))      # the best on the test side would be number 2, with 1.0
    monkeypatch.setitem(evidence.QUESTIONS, "one-digit", lambda net, scenes: len(scenes) / 10)
    assert evidence.map_score("one-digit", nn.Identity(), validation, test) == (0, 0.6)


@pytest.mark.parametrize("model", ["none", "conv"])
def test_a_network_without_a_block_has_no_answer(model):
    for task, build in (("context-gating", context_net), ("cued-search", search_net), ("one-digit", search_net)):
        net, scenes = build(model).eval(), sample(task, 4)
        assert evidence.map_score(task, net, scenes, scenes) is None
        assert evidence.deletion(task, net, scenes, 0) is None


def test_which_mechanisms_answer_which_question():
    """Where a mechanism has no such weights, the answer is None and not a number."""
    answers = {task: [] for task in evidence.QUESTIONS}
    for task, found in answers.items():
        scenes = sample(task, 3)
        for model in ("se", "eca", "cbam", "bam", "sk", "psa", "self-attention", "danet", "emsa", "external"):
            if evidence.map_score(task, untrained(task, model, 0), scenes, scenes) is not None:
                found.append(model)
    assert answers == {"context-gating": ["se", "eca", "cbam", "bam", "sk", "psa", "danet"],
                       "cued-search": ["self-attention", "danet", "emsa"],
                       "one-digit": ["cbam", "bam", "self-attention", "danet", "emsa", "external"]}


# Deletions


@pytest.mark.parametrize(("length", "count"), [(10, 1), (48, 5), (144, 14), (4, 1)])
def test_a_tenth_is_a_tenth(length, count):
    order = torch.rand(3, length)
    chosen = evidence._largest(order)
    assert chosen.sum(1).tolist() == [count] * 3
    assert order.where(chosen, torch.inf).amin(1).gt(order.where(~chosen, -torch.inf).amax(1)).all()


def test_deleted_places_have_the_pictures_mean_colour_and_the_rest_is_untouched():
    images, order = pictures(sample("one-digit", 3)), torch.rand(3, *GRID)
    changed = evidence._without_places(images, order)
    gone = (changed != images).any(1)
    places = nn.functional.max_pool2d(gone.float()[:, None], 4)[:, 0]
    assert places.flatten(1).sum(1).tolist() == [14] * 3
    assert gone.float().mean() == pytest.approx(14 / 144, abs=1e-3)                     # whole places of 4 × 4 pixels
    assert order[places > 0].min() > order.flatten(1).kthvalue(130, dim=1)[0].min()
    for i in range(3):
        colours = changed[i][:, gone[i]]
        torch.testing.assert_close(colours, images[i].mean((1, 2))[:, None].expand_as(colours))


def test_deleting_the_places_that_matter_costs_the_answer():
    """The network reads right while the pixels of one place, that of the largest weight, are as they were."""
    scenes = sample("one-digit")
    generator = torch.Generator().manual_seed(1)
    key = torch.randint(144, (130,), generator=generator)
    spatial = 0.5 * torch.rand(130, 144, generator=generator)
    spatial[torch.arange(130), key] = 1
    clean = pictures(scenes)

    def right(x: Tensor, i: Tensor) -> Tensor:
        changed = nn.functional.max_pool2d((x != clean[i]).float().amax(1, keepdim=True), 4)
        return changed.flatten(1)[torch.arange(len(x)), key[i]] == 0

    net = Knowing(scenes, {"spatial": spatial.unflatten(1, GRID)}, right)

    class Stem(nn.Module):                                 # features that are longest anywhere but at that place
        def forward(self, x: Tensor) -> Tensor:
            length = torch.ones(len(x), 144).scatter(1, key[net.find(x), None], 0)
            return length.unflatten(1, GRID)[:, None]

    net.stem = Stem()
    found = evidence.deletion("one-digit", net, scenes, 0)
    assert list(found) == ["largest", "features", "random"]
    assert found["largest"] == 0
    assert found["features"] == 1
    assert found["random"] == pytest.approx(1 - 14 / 144, abs=0.05)        # 390 draws


def test_the_chosen_map_ranks_the_places():
    scenes = sample("one-digit", 20)
    maps = torch.zeros(20, 144, 2)
    maps[:, 3, 0] = 1                                      # slot 0 ranks place 3 first, slot 1 the last places
    maps[:, :, 1] = torch.linspace(0, 0.5, 144)
    clean = pictures(scenes)
    net = Knowing(scenes, {"slot": maps[:, None]}, lambda x, i: (x[:, 0, :4, 12:16] == clean[i][:, 0, :4, 12:16])
                  .flatten(1).all(1))
    assert evidence.deletion("one-digit", net, scenes, 0)["largest"] == 0
    assert evidence.deletion("one-digit", net, scenes, 1)["largest"] == 1


class Gated(nn.Module):
    """Ten channels, each a copy of the picture's grey; reads right while channel `key` of a scene passes."""

    width = 10

    def __init__(self, known: Knowing, gates: dict[str, Tensor], key: Tensor) -> None:
        super().__init__()
        self.known, self.key = known, key
        self.block = Told(lambda x: {name: t[known.find(x[:, :3])] for name, t in gates.items()})

    def forward(self, x: Tensor) -> Tensor:
        passed = self.block(torch.cat([x, x, x, x[:, :1]], 1)).abs().amax((2, 3)) > 0           # (n, 10)
        i = self.known.find(x)
        answer = self.known.scenes.answer[i]
        right = passed.gather(1, self.key[i, None])[:, 0]
        return nn.functional.one_hot(torch.where(right, answer, (answer + 1) % 10), 10).float()


def test_deleting_the_channels_that_matter_costs_the_answer():
    scenes = sample("context-gating")
    gates = torch.rand(130, 10, generator=torch.Generator().manual_seed(2))
    known = Knowing(scenes, {}, always)
    for key, largest, smallest in ((gates.argmax(1), 0, 1), (gates.argmin(1), 1, 0)):
        net = Gated(known, {"channel": gates}, key)
        found = evidence.deletion("context-gating", net, scenes, 0)
        assert list(found) == ["largest", "smallest", "random"]
        assert (found["largest"], found["smallest"]) == (largest, smallest)
        assert found["random"] == pytest.approx(0.9, abs=0.05)
        assert not net.block._forward_hooks                # and afterwards nothing is taken away
        assert (net(pictures(scenes)).argmax(1) == scenes.answer).all()
    pairs = {"kernel": torch.rand(130, 2, 10)}             # two numbers a channel rank none
    assert evidence.deletion("context-gating", Gated(known, pairs, key), scenes, 0) is None
    assert evidence.deletion("cued-search", net, scenes, 0) is None
