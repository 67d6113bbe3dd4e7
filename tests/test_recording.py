"""record_attention shows what every block attended to, and leaves no trace of having looked."""

import copy

import pytest
import torch
from torch import Tensor, nn

from attention_lite import AttentionBlock, ScaledDotProductAttention, SEAttention, record_attention


class Tokens(nn.Module):
    """A feature map (B, C, H, W) as tokens (B, H·W, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class Reader(nn.Module):
    """Self-attention with a mask handed over by keyword, then dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.sa = ScaledDotProductAttention(8, h=2, dropout=0.3)
        self.drop = nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        return self.drop(self.sa(x, mask=causal))


def network() -> nn.Sequential:
    """Two kinds of block, at two depths, among layers that keep statistics and draw random numbers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Sequential(SEAttention(8, 2), nn.ReLU()),
                         nn.Dropout(0.2), Tokens(), Reader())


class Noisy(AttentionBlock):
    """A block whose attention uses batch norm and dropout: asking it twice changes buffers and random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout(0.5)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        return {"gate": torch.sigmoid(self.drop(self.norm(x)))}

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)["gate"]


class Nested(AttentionBlock):
    """A block made of blocks, as CBAM is: its attention runs the forward pass of its first part."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SEAttention(8, 2), SEAttention(8, 4)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        return {"first": self.first.attention(x)["channel"],
                "second": self.second.attention(self.first(x))["channel"]}

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules())


def state(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter, buffer and gradient, copied."""
    found = {name: t.detach().clone() for name, t in model.state_dict().items()}
    return found | {f"{name}.grad": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_maps_are_those_of_each_blocks_own_input():
    model, x = network().eval(), torch.randn(2, 3, 6, 6)
    with record_attention(model) as maps:
        model(x)
    assert list(maps) == ["2.0", "5.sa"]
    features = model[1](model[0](x))
    torch.testing.assert_close(maps["2.0"]["channel"], model[2][0].attention(features)["channel"])
    tokens, causal = model[:5](x), torch.ones(16, 16, dtype=torch.bool).tril()
    torch.testing.assert_close(maps["5.sa"]["position"], model[5].sa.attention(tokens, mask=causal)["position"])
    assert (maps["5.sa"]["position"].triu(1) == 0).all()
    assert not any(t.requires_grad for found in maps.values() for t in found.values())


@pytest.mark.parametrize("make", [network, Noisy, Nested])
@pytest.mark.parametrize("training", [True, False])
def test_a_recorded_pass_is_an_unrecorded_one(make, training):
    torch.manual_seed(0)
    plain = make().train(training)
    watched = copy.deepcopy(plain)
    x = torch.randn(2, 3 if make is network else 8, 6, 6)
    ends = []
    for model in (plain, watched):
        torch.manual_seed(1)
        if model is watched:
            with record_attention(model) as maps:
                y = model(x)
            assert maps
        else:
            y = model(x)
        y.square().sum().backward()
        ends.append((y.detach(), state(model), torch.get_rng_state()))
    assert torch.equal(ends[0][0], ends[1][0])
    assert same(ends[0][1], ends[1][1])
    assert torch.equal(ends[0][2], ends[1][2])
    assert any("running_mean" in name for name in ends[0][1]) == (make is not Nested)     # buffers were compared
    assert any(name.endswith(".grad") for name in ends[0][1])                             # and gradients


def test_gradients_under_autocast_are_those_of_an_unrecorded_pass():
    """Autocast keeps the weights that it has cast: those of the recording, made without gradients, must not serve."""
    plain = network().eval()
    watched = copy.deepcopy(plain)
    x = torch.randn(2, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        y = plain(x)
        with record_attention(watched):
            y_watched = watched(x)
    y.float().sum().backward()
    y_watched.float().sum().backward()
    assert same(state(plain), state(watched))


def test_hooks_go_on_leaving_and_when_the_model_raises():
    model = network()
    assert hooks(model) == 0
    with record_attention(model):
        assert hooks(model) > 0
    assert hooks(model) == 0
    with pytest.raises(ValueError, match="x must have 8 channels"), record_attention(model[2]):
        model[2](torch.randn(1, 4, 2, 2))
    assert hooks(model) == 0
    with pytest.raises(RuntimeError, match="shape"), record_attention(model) as maps:
        nn.Sequential(*model[:3], nn.Linear(1000, 1))(torch.randn(1, 3, 6, 6))
    assert hooks(model) == 0
    assert list(maps) == ["2.0"]                                 # what was recorded so far stays readable
    kept = dict(maps)
    model(torch.randn(1, 3, 6, 6))
    assert all(maps[k] is kept[k] for k in kept)                 # and a later pass changes nothing


def test_each_pass_starts_anew():
    model = network().eval()
    with record_attention(model) as maps:
        model(torch.randn(2, 3, 6, 6))
        model(torch.randn(5, 3, 7, 7))
    assert list(maps) == ["2.0", "5.sa"]
    assert maps["2.0"]["channel"].shape == (5, 8)
    assert maps["5.sa"]["position"].shape == (5, 2, 25, 25)


def test_a_block_used_again_is_recorded_each_time():
    se = SEAttention(8, 2)
    model, x = nn.Sequential(se, nn.ReLU(), se, se), torch.randn(2, 8, 3, 3)
    with record_attention(model) as maps:
        model(x)
    assert list(maps) == ["0", "0:2", "0:3"]
    torch.testing.assert_close(maps["0"]["channel"], se.attention(x)["channel"])
    torch.testing.assert_close(maps["0:3"]["channel"], se.attention(se(torch.relu(se(x))))["channel"])


def test_a_model_that_is_itself_a_block():
    sa, x = ScaledDotProductAttention(8, h=2), torch.randn(2, 5, 8)
    with record_attention(sa) as maps:
        sa(x)
        sa(x)
    assert list(maps) == [""]
    assert torch.equal(maps[""]["position"], sa.attention(x)["position"])


def test_blocks_inside_a_block_are_recorded_once():
    model, x = Nested(), torch.randn(2, 8, 3, 3)
    with record_attention(model) as maps:
        model(x)
        model(x)
    assert list(maps) == ["", "first", "second"]
    assert torch.equal(maps[""]["second"], maps["second"]["channel"])
    twice = nn.Sequential(model, model)
    with record_attention(twice) as maps:
        twice(x)
    assert list(maps) == ["0", "0.first", "0.second", "0:2", "0.first:2", "0.second:2"]


def test_recordings_may_be_nested():
    model, x = network().eval(), torch.randn(2, 3, 6, 6)
    with record_attention(model) as outer:
        with record_attention(model[2]) as inner:
            model(x)
        assert list(inner) == ["0"]
        model(2 * x)
    assert torch.equal(inner["0"]["channel"], model[2][0].attention(model[1](model[0](x)))["channel"])
    assert torch.equal(outer["2.0"]["channel"], model[2][0].attention(model[1](model[0](2 * x)))["channel"])
    assert hooks(model) == 0


def test_maps_are_copies_that_the_model_cannot_change():
    class Overwriting(AttentionBlock):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(2))

        def attention(self, x: Tensor) -> dict[str, Tensor]:
            return {"kept": self.kept}

        def forward(self, x: Tensor) -> Tensor:
            self.kept.add_(1)
            return x

    model = Overwriting()
    with record_attention(model) as maps:
        model(torch.zeros(1))
    assert torch.equal(maps[""]["kept"], torch.zeros(2))


def test_compiled_models_are_recorded_and_stay_compiled():
    plain = network().eval()
    x, compilations = torch.randn(2, 3, 6, 6), []

    def count(graph, inputs):
        compilations.append(graph)
        return graph

    model = torch.compile(plain, backend=count, fullgraph=True)
    expected = model(x)
    assert len(compilations) == 1
    with record_attention(model) as maps:
        y = model(x)
    assert list(maps) == ["_orig_mod.2.0", "_orig_mod.5.sa"]
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(model(x), expected)
    assert len(compilations) == 1                                # the old code serves again: no hook is left in it
