"""force_gates: blocks use what they are given, and on leaving compute their own again."""

import pytest
import torch
from torch import nn

from attention_lite import SEAttention, force_gates, record_attention

X = torch.randn(2, 8, 4, 4)


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(SEAttention(8, 2), nn.Conv2d(8, 8, 1), SEAttention(8, 4)).eval()


@pytest.mark.parametrize("gates", [0.25, torch.rand(8), torch.rand(1, 8), torch.rand(2, 8), -3, 1])
def test_forced_gates_multiply_the_channels(gates):
    se = SEAttention(8, 2)
    with force_gates(se, {"": gates}):
        y = se(X)
    rows = gates if isinstance(gates, torch.Tensor) else torch.full((8,), float(gates))
    torch.testing.assert_close(y, X * rows.expand(2, 8)[..., None, None])
    assert not torch.allclose(se(X), y)


def test_only_the_named_blocks_are_forced_and_all_are_free_afterwards(net):
    with record_attention(net) as own:
        before = net(X)
    with force_gates(net, {"2": 0.5}), record_attention(net) as forced:
        net(X)
    assert torch.equal(forced["0"]["channel"], own["0"]["channel"])
    assert torch.equal(forced["2"]["channel"], torch.full((2, 8), 0.5))
    assert torch.equal(net(X), before)
    assert "attention" not in vars(net[0]) | vars(net[2])


def test_recorded_gates_forced_on_their_own_input_change_nothing(net):
    with record_attention(net) as own:
        before = net(X)
    with force_gates(net, {name: maps["channel"] for name, maps in own.items()}):
        assert torch.equal(net(X), before)


def test_blocks_are_free_after_an_error_and_an_inner_context_gives_back_the_outer_ones(net):
    free, free_block = net(X), SEAttention(8, 2)
    with force_gates(net, {"0": 1.0}):
        outer = net(X)
        with pytest.raises(ValueError, match="x must have 8 channels"), force_gates(net, {"2": 0.0}):
            free_block(X[:, :4])
        with force_gates(net, {"0": 0.0, "2": 0.0}):
            assert (net(X) == 0).all()
        assert torch.equal(net(X), outer)
    assert torch.equal(net(X), free)
    assert not torch.equal(outer, free)


def test_nothing_is_forced_where_one_name_is_wrong(net):
    free = net(X)
    with pytest.raises(ValueError, match="got '1'"), force_gates(net, {"0": 0.0, "1": 0.0}):
        pass
    assert torch.equal(net(X), free)


def test_gradients_flow_to_the_given_gates(net):
    gates = torch.rand(8, requires_grad=True)
    with force_gates(net, {"0": gates}):
        net(X).sum().backward()
    assert gates.grad.abs().sum() > 0
    assert net[0].W1.weight.grad is None
