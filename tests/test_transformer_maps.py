"""What is measured on a vision transformer's maps, on maps and networks that are known."""

import math

import matplotlib.pyplot as plt
import pytest
import torch

from attention_lite import figures, record_attention
from attention_lite.lab import transformer_figures
from attention_lite.lab import transformer_maps as tm
from attention_lite.networks.vision_transformer import VisionTransformer


def shifted(down: int, right: int, side: int = 4) -> torch.Tensor:
    """A map in which each patch puts .6 on the patch (down, right) away, if there is one, and the rest on the class."""
    A = torch.zeros(1 + side ** 2, 1 + side ** 2)
    for row in range(side):
        for column in range(side):
            if 0 <= row + down < side and 0 <= column + right < side:
                A[1 + row * side + column, 1 + (row + down) * side + column + right] = 0.6
    A[:, 0] = 1 - A.sum(1)
    return A


@pytest.fixture(scope="module")
def net() -> VisionTransformer:
    torch.manual_seed(0)
    small = VisionTransformer(d_model=12, depth=3, h=2, patch=4, grid=4).eval()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return small


@pytest.mark.parametrize(("name", "step"), tm.NEIGHBOURS.items())
def test_a_neighbour_is_found_in_its_direction_alone(name, step):
    A = shifted(*step)[None]
    found = {other: tm.neighbour_weight(A, towards).item() for other, towards in tm.NEIGHBOURS.items()}
    assert found == {other: pytest.approx(0.6 if other == name else 0.0) for other in tm.NEIGHBOURS}


def test_distances():
    uniform = torch.full((2, 3, 17, 17), 1 / 17)
    places = [(i, j) for i in range(4) for j in range(4)]
    mean = sum(math.dist(a, b) for a in places for b in places) / 256
    assert torch.allclose(tm.mean_distance(uniform), torch.full((2, 3), mean))
    two_apart = torch.zeros(5, 5)
    two_apart[1:, 0], two_apart[0, 0] = 0.5, 1.0          # what the class token gets does not count
    two_apart[1, 4] = two_apart[4, 1] = two_apart[2, 3] = two_apart[3, 2] = 0.5
    assert tm.mean_distance(two_apart).item() == pytest.approx(math.sqrt(2))


def test_rollout_of_two_layers_by_hand():
    one, two = torch.rand(2, 3, 5, 5).softmax(-1)
    hand = (two.mean(0) / 2 + torch.eye(5) / 2) @ (one.mean(0) / 2 + torch.eye(5) / 2)
    R = tm.rollout(torch.stack([one, two]))
    assert torch.allclose(R, hand)
    assert torch.allclose(R.sum(1), torch.ones(5))


def test_queries_and_keys_give_the_recorded_maps(net):
    x = torch.rand(1, 3, 16, 16)
    with record_attention(net) as maps, torch.no_grad():
        net(x)
    for layer in range(3):
        Q, K, V = tm.heads_of(net, x, layer)
        A = (Q @ K.transpose(1, 2) / math.sqrt(6)).softmax(-1)
        assert torch.allclose(A, maps[f"layers.{layer}.attention"]["position"][0], atol=1e-6)
        assert V.shape == Q.shape == (2, 17, 6)


def test_nothing_taken_away_changes_nothing(net):
    x = torch.rand(1, 3, 16, 16)
    orders = torch.stack([torch.randperm(16), torch.randperm(16)])
    moved = tm.change_without(net, x, orders, (0, 4, 15))
    assert moved.shape == (2, 3)
    assert (moved[:, 0].abs() < 1e-5).all()
    assert (moved[:, 1] > 1e-4).all()
    for order, found in zip(orders, moved[:, 2], strict=True):
        last = net.embed(x)[:, [0, 1 + int(order[-1])]]                    # the only patch that is left
        for layer in net.layers:
            last = layer(last)
        expected = 1 - torch.cosine_similarity(net.norm(last)[0, 0], net(x)[0, 0], dim=0)
        assert torch.allclose(found, expected, atol=1e-5)


def test_torchs_own_module_agrees(net):
    block, x = net.layers[1].attention, torch.randn(2, 5, 12)
    own = tm.as_torchs_own(block)
    with torch.no_grad():
        output, maps = own(x, x, x, average_attn_weights=False)
    assert torch.allclose(output, block(x), atol=1e-5)
    assert torch.allclose(maps, block.attention(x)["position"], atol=1e-6)


def test_a_neighbours_head_is_named_on_some_photographs_and_asked_on_the_others():
    below, right = shifted(1, 0), shifted(0, 1)
    named, other = torch.stack([below, right])[None], torch.stack([right, below])[None]           # (1 layer, 2 heads)
    found = tm.named_for_neighbours({"a": named, "b": other}, ("a",))
    assert {name: head for name, (_, head, _) in found.items()} | {"above": 0, "left": 0} == {
        "above": 0, "below": 0, "left": 0, "right": 1}
    assert found["below"][2].item() == tm.neighbour_weight(right, (1, 0)) < 0.6
    _, head, on = tm.named_for_neighbours({"a": named, "b": named}, ("b",))["right"]
    assert (head, on.item()) == (1, pytest.approx(0.6))


def test_rankings_are_of_the_class_token():
    own, other = torch.rand(2, 2, 3, 17, 17).softmax(-1)
    ranks = tm.rankings(own, other, seed=1)
    assert torch.allclose(ranks["its map, last layer"], own[1, :, 0, 1:].mean(0))
    assert torch.allclose(ranks["another photograph's map"], other[1, :, 0, 1:].mean(0))
    assert torch.allclose(ranks["rollout"], tm.rollout(own)[0, 1:])
    assert set(ranks["the middle"].topk(4).indices.tolist()) == {5, 6, 9, 10}
    assert not torch.equal(ranks["random"], tm.rankings(own, other, seed=0)["random"])
    assert {len(values) for values in ranks.values()} == {16}


def test_a_map_is_shown_on_its_photograph_with_query_and_outline():
    maps = {"one": torch.eye(16), "two": torch.zeros(16, 16)}
    figure = transformer_figures.show(maps, 0.5, "chelsea", (18,), ("left eye",))
    one, two, bar = figure.axes
    assert [ax.get_title() for ax in (one, two)] == ["one", "two"]
    assert one.images[1].get_clim() == (0, 0.5)
    assert (one.lines[0].get_xydata() == [[2.5 * 14 - 0.5, 1.5 * 14 - 0.5]]).all()
    outline = one.patches[0].get_xy()
    assert 0 < outline.min() < outline.max() < 223
    assert bar.get_ylabel() == "weight"
    plt.close(figure)


def test_more_than_three_maps_stand_in_rows_of_three():
    figure = transformer_figures.show({f"{i}": torch.zeros(16, 16) for i in range(4)}, 0.5, "chelsea")
    *maps, _ = figure.axes
    places = [ax.get_subplotspec() for ax in maps]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert [ax.get_title() for ax in maps] == ["0", "1", "2", "3"]
    plt.close(figure)


def test_a_role_is_marked_beside_others_of_its_layer():
    transformer_figures.distances(torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3), 4.0, {(0, 2): "v", (0, 0): "^"})
    black = [line for line in plt.gca().lines if line.get_color() == "black"]
    plt.close()
    marks = {line.get_marker(): line.get_xydata()[0].tolist() for line in black}
    assert marks == {"v": [-0.25, 3.0], "^": [0.25, 1.0]}


def test_glow_lets_the_photograph_be_seen_where_there_is_no_weight():
    figure, axes = figures.panels(1, 1)
    shown = figures.glow(axes[0, 0], torch.rand(28, 56, 3), torch.tensor([[0.0, 2.0]]), 1.0)
    nothing, most = shown.to_rgba(shown.get_array())[0]
    assert nothing[3] == 0
    assert most[3] == 1
    assert list(shown.get_extent()) == list(axes[0, 0].images[0].get_extent()) == [-0.5, 55.5, 27.5, -0.5]
    plt.close(figure)


@pytest.mark.parametrize("measure", [tm.among_patches, tm.mean_distance, lambda A: tm.neighbour_weight(A, (0, 1))])
@pytest.mark.parametrize("shape", [(16, 16), (17, 16), (17,), (1, 1)])
def test_maps_of_no_square_are_refused(measure, shape):
    with pytest.raises(ValueError, match=r"maps must have shape \(…, 1 \+ side², 1 \+ side²\), got \("):
        measure(torch.ones(shape))
