"""record_attention shows what every block attended to, and leaves no trace of having looked."""

import copy
import importlib
import io
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from attention_lite import (
    AttentionBlock,
    BAMBlock,
    CBAMBlock,
    DAModule,
    ScaledDotProductAttention,
    SEAttention,
    SKAttention,
    record_attention,
)


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
    """How many hooks the model has, and torch for all modules."""
    of_all = len(torch_module._global_forward_pre_hooks) + len(torch_module._global_forward_hooks)
    return of_all + sum(len(m._forward_pre_hooks) + len(m._forward_hooks) + len(m._backward_hooks)
                        for m in model.modules())


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


def test_recordings_that_end_in_any_order_let_compile_again():
    importlib.import_module("torch._dynamo")                               # the compiler, which is told to stand back
    first, second = (record_attention(network()) for _ in range(2))
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None), second.__exit__(None, None, None)
    compilations = []

    def count(graph, inputs):
        compilations.append(graph)
        return graph

    torch.compile(nn.Linear(3, 3), backend=count)(torch.randn(2, 3))
    assert len(compilations) == 1


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


# What people do to models while they are recorded

NORMED = {"BAM": lambda: BAMBlock(8, 2), "SK": lambda: SKAttention(8, 2, group=2, L=4),
          "CBAM published": lambda: CBAMBlock(8, 2, published=True), "DANet": lambda: DAModule(8)}
with_batch_norm = pytest.mark.parametrize("make", NORMED.values(), ids=NORMED)


@with_batch_norm
def test_two_passes_and_one_backward(make):
    """A siamese network in training: nothing that the first pass has saved may be written to by the second."""
    plain = make()
    watched, x = copy.deepcopy(plain), torch.randn(2, 8, 6, 6)
    (plain(x) + plain(2 * x)).square().sum().backward()
    with record_attention(watched) as maps:
        y = watched(x) + watched(2 * x)
    y.square().sum().backward()
    assert maps
    assert same(state(plain), state(watched))


@with_batch_norm
def test_one_place_of_one_image_in_training(make):
    block, x = make(), torch.randn(1, 8, 1, 1)
    for way in (block, block.attention):
        message = "x must give batch norm more than one number a channel in training, got shape (1, 8, 1, 1)"
        with pytest.raises(ValueError, match=re.escape(message)):
            way(x)
    assert block(torch.randn(1, 8, 1, 2)).shape == (1, 8, 1, 2)
    assert block.eval()(x).shape == x.shape
    block.train()
    for layer in block.modules():
        layer.train(not isinstance(layer, nn.BatchNorm2d))        # batch norms that are frozen divide by no spread
    assert block(x).shape == x.shape


def test_one_place_after_a_stride():
    block = SKAttention(8, 2, group=2, L=4, stride=2)
    with pytest.raises(ValueError, match=r"got shape \(1, 8, 2, 2\)"):
        block(torch.randn(1, 8, 2, 2))
    assert block(torch.randn(1, 8, 2, 3)).shape == (1, 8, 1, 2)


class Caching(AttentionBlock):
    """A block that makes a buffer in its first pass, and one that is not a number."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("unset", torch.tensor(torch.nan))

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        if not hasattr(self, "first"):
            self.register_buffer("first", x.mean().detach().clone())
        return {"gate": torch.sigmoid(x - self.first)}

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.unset.isnan(), x * self.attention(x)["gate"], x)


def test_buffers_made_in_the_first_pass_and_buffers_that_are_not_numbers():
    block, x = Caching(), torch.randn(2, 3, requires_grad=True)
    with record_attention(block) as maps:
        y = block(x)
        assert torch.equal(block.first, x.mean())
        (y + block(2 * x)).sum().backward()
    assert torch.equal(maps[""]["gate"], torch.sigmoid(2 * x - x.mean()).detach())


@with_batch_norm
def test_models_without_numbers(make):
    with torch.device("meta"):
        model = make()
    with record_attention(model) as maps:
        model(torch.empty(2, 8, 6, 6, device="meta"))
    assert {A.device.type for found in maps.values() for A in found.values()} == {"meta"}
    with FakeTensorMode():
        model = make()
        with record_attention(model) as maps:
            model(torch.empty(2, 8, 6, 6))
    assert all(isinstance(A, FakeTensor) for found in maps.values() for A in found.values())


def test_cached_parametrisations_keep_their_gradients():
    plain = nn.Sequential(SEAttention(8, 2))
    torch.nn.utils.parametrizations.spectral_norm(plain[0].W1)
    watched, x = copy.deepcopy(plain), torch.randn(2, 8, 3, 3)
    with parametrize.cached():
        (plain(x) + plain(2 * x)).sum().backward()
    with parametrize.cached(), record_attention(watched):
        y = watched(x) + watched(2 * x)
    y.sum().backward()
    assert len([p for p in watched.parameters() if p.grad is not None]) == 2
    assert same(state(plain), state(watched))


def test_copies_made_meanwhile_are_free_of_it():
    model, x, file = nn.Sequential(SEAttention(8, 2)), torch.randn(2, 8, 3, 3), io.BytesIO()
    with record_attention(model) as maps:
        model(x)
        recorded = maps["0"]
        torch.save(model, file)
        file.seek(0)
        copies = [copy.deepcopy(model), AveragedModel(model), torch.load(file, weights_only=False)]
        for other in copies:
            other(2 * x)
        replica = model[0]._replicate_for_data_parallel()        # what DataParallel puts on each device
        replica._modules = dict(model[0]._modules)
        replica(2 * x)
        assert maps == {"0": recorded}
        assert maps["0"] is recorded
    assert [hooks(other) for other in copies] == [0, 0, 0]


class Parts(nn.Module):
    """A network with a block that runs twice, and a part that people call by itself."""

    def __init__(self, again: Callable[[nn.Module, Tensor], Tensor] = lambda module, x: module(x)) -> None:
        super().__init__()
        self.first, self.second, self.again = SEAttention(8, 2), SEAttention(8, 2), again

    def forward_features(self, x: Tensor) -> Tensor:
        return self.again(self.second, self.first(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.forward_features(x))


def test_parts_called_by_themselves_leave_their_newest_maps():
    model, x = Parts(), torch.randn(2, 8, 3, 3)
    with record_attention(model) as maps:
        model(x)
        assert list(maps) == ["first", "second", "second:2"]
        for i in range(100):
            model.forward_features(x + i)
            assert list(maps) == ["first", "second"]
        assert torch.equal(maps["first"]["channel"], model.first.attention(x + 99)["channel"])
        model(x)
        assert list(maps) == ["first", "second", "second:2"]
        assert torch.equal(maps["first"]["channel"], model.first.attention(x)["channel"])


def test_a_pass_that_fails_ends_there():
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    model, x = Parts(), torch.randn(2, 8, 3, 3)
    with record_attention(model) as maps:
        handle = model.second.register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="no"):
            model(x)
        handle.remove()
        model.forward_features(x)
        model.forward_features(x)
        assert list(maps) == ["first", "second"]


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_what_checkpointing_computes_again_is_not_recorded(reentrant, whole):
    def through(module: nn.Module, x: Tensor) -> Tensor:
        return checkpoint(module, x, use_reentrant=reentrant)

    model, x = Parts(through), torch.randn(2, 8, 3, 3, requires_grad=True)
    with record_attention(model) as maps:
        y = through(model, x) if whole else model(x)
        assert list(maps) == ["first", "second", "second:2"]
        before = {name: found["channel"] for name, found in maps.items()}
        y.sum().backward()
        assert list(maps) == ["first", "second", "second:2"]
        assert all(maps[name]["channel"] is A for name, A in before.items())
    assert model.second.W1.weight.grad is not None


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_maps_inside_torch_func_can_be_read():
    sa, x = ScaledDotProductAttention(8, h=2), torch.randn(3, 2, 5, 8)
    expected = torch.stack([sa.attention(part)["position"] for part in x])
    with record_attention(sa) as maps:
        torch.func.vmap(sa)(x)
    torch.testing.assert_close(maps[""]["position"], expected)
    with record_attention(sa) as maps:
        torch.func.vmap(torch.func.vmap(sa, in_dims=1), in_dims=4)(x[..., None].expand(-1, -1, -1, -1, 4))
    by_columns = torch.stack([sa.attention(part)["position"] for part in x.unbind(1)])
    torch.testing.assert_close(maps[""]["position"], by_columns.expand(4, -1, -1, -1, -1, -1))
    gradient = torch.func.vmap(torch.func.grad(lambda x: sa(x).sum()))
    with record_attention(sa) as maps:
        gradient(x)
    torch.testing.assert_close(maps[""]["position"], expected)


def test_hooks_of_the_block_come_first():
    """The input that a block receives is the one that its own hooks have made."""
    se, x = SEAttention(8, 2), torch.randn(2, 8, 3, 3)
    se.register_forward_pre_hook(lambda _, args: (3 * args[0],))
    with record_attention(se) as maps:
        se(x)
    assert torch.equal(maps[""]["channel"], se.attention(3 * x)["channel"])


def test_recordings_end_in_any_order():
    model, x = Parts(), torch.randn(2, 8, 3, 3)
    first, second = record_attention(model), record_attention(model)
    one, two = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    model(x)
    second.__exit__(None, None, None)
    model(x)
    assert (list(one), list(two)) == ([], ["first", "second", "second:2"])
    assert hooks(model) == 0


def test_maps_that_are_parts_of_the_model_or_its_input_are_copied():
    class Showing(AttentionBlock):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.plain = nn.Parameter(torch.zeros(2)), torch.zeros(2)

        def attention(self, x: Tensor) -> dict[str, Tensor]:
            return {"weight": self.weight, "plain": self.plain[:1], "input": x.view(-1)}

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.weight.add_(1)
                self.plain.add_(1)
            return x.add_(1)

    model = Showing()
    with record_attention(model) as maps:
        model(torch.zeros(2))
    assert all((A == 0).all() for A in maps[""].values())
