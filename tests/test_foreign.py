"""record_attention reads the networks of others: maps equal products computed anew, and nothing of them is changed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from test_recording import hooks, same, state
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from attention_lite import ScaledDotProductAttention, record_attention
from attention_lite.lab import pretrained
from attention_lite.lab.photographs import load, picture
from benchmarks.stand_ins import stand_ins

with stand_ins("torchvision"):                         # timm asks for it, and its networks use nothing of it
    import timm

SMALL = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64, "image_size": 64,
         "patch_size": 16}


def inputs(model: nn.Module, x: Tensor) -> dict[str, tuple[tuple, dict]]:
    """What each module of the model received, by the hooks of an unrecorded pass."""
    received: dict[str, tuple[tuple, dict]] = {}
    handles = [module.register_forward_pre_hook(
        lambda _, args, kwargs, name=name: received.update({name: (args, kwargs)}), with_kwargs=True)
        for name, module in model.named_modules()]
    model(x)
    for handle in handles:
        handle.remove()
    return received


def in_heads(x: Tensor, h: int) -> Tensor:
    return x.unflatten(-1, (h, -1)).transpose(-3, -2)                     # (B, N, d) -> (B, h, N, d / h)


def softmax_of(Q: Tensor, K: Tensor, h: int) -> Tensor:
    Q, K = in_heads(Q, h), in_heads(K, h)
    return (Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5).softmax(-1)


def by_timm(attn: nn.Module, x: Tensor) -> Tensor:
    Q, K, _ = attn.qkv(x).chunk(3, -1)
    return softmax_of(Q, K, attn.num_heads)


def by_transformers(attention: nn.Module, x: Tensor) -> Tensor:
    return softmax_of(attention.q_proj(x), attention.k_proj(x), attention.num_attention_heads)


def by_torch(heads: nn.MultiheadAttention, x: Tensor) -> Tensor:
    Q, K, _ = F.linear(x, heads.in_proj_weight, heads.in_proj_bias).chunk(3, -1)
    return softmax_of(Q, K, heads.num_heads)


def by_se(se: nn.Module, x: Tensor) -> Tensor:
    return torch.sigmoid(se.fc2(torch.relu(se.fc1(x.mean((2, 3), keepdim=True))))).flatten(1)


def by_eca(eca: nn.Module, x: Tensor) -> Tensor:
    return torch.sigmoid(eca.conv(x.mean((2, 3))[:, None]))[:, 0]


def of_transformers(model: type[nn.Module], config: type, kernel: str) -> nn.Module:
    return model(config(**SMALL, attn_implementation=kernel)).eval()


def unfused(model: nn.Module) -> nn.Module:
    for block in model.blocks:
        block.attn.fused_attn = False
    return model


# the network, its input, the key of its maps, and how a map is computed anew from what its module received
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, Callable[[nn.Module, Tensor], Tensor]]] = {
    "timm's ViT": (lambda: timm.create_model("vit_tiny_patch16_224", img_size=64), (2, 3, 64, 64), "position", by_timm),
    "timm's DINOv2, not fused": (lambda: unfused(timm.create_model("vit_small_patch14_dinov2", img_size=56)),
                                 (2, 3, 56, 56), "position", by_timm),
    "timm's SE-ResNet": (lambda: timm.create_model("seresnet18"), (2, 3, 64, 64), "channel", by_se),
    "timm's ECA-ResNet": (lambda: timm.create_model("ecaresnet26t"), (2, 3, 64, 64), "channel", by_eca),
    "transformers' ViT, eager": (lambda: of_transformers(ViTModel, ViTConfig, "eager"), (2, 3, 64, 64), "position",
                                 by_transformers),
    "transformers' ViT, fused": (lambda: of_transformers(ViTModel, ViTConfig, "sdpa"), (2, 3, 64, 64), "position",
                                 by_transformers),
    "transformers' DINOv2, eager": (lambda: of_transformers(Dinov2Model, Dinov2Config, "eager"), (2, 3, 64, 64),
                                    "position", by_transformers),
    "transformers' DINOv2, fused": (lambda: of_transformers(Dinov2Model, Dinov2Config, "sdpa"), (2, 3, 64, 64),
                                    "position", by_transformers),
    "torch's encoder": (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, batch_first=True), 2),
                        (2, 5, 16), "position", by_torch),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def tensor_of(y: object) -> Tensor:
    return y if isinstance(y, Tensor) else y.last_hidden_state


@every_network
def test_maps_equal_products_computed_anew(name: str):
    make, shape, key, anew = NETWORKS[name]
    model, x = make().eval(), torch.randn(shape)
    with record_attention(model) as maps:
        model(x)
    received, blocks = inputs(model, x), dict(model.named_modules())
    assert len(maps) >= 2
    for block, found in maps.items():
        args, kwargs = received[block]
        expected = anew(blocks[block], args[0] if args else kwargs["hidden_states"]).detach()
        torch.testing.assert_close(found[key], expected, atol=1e-6, rtol=0)
        assert not found[key].requires_grad


@pytest.mark.thorough
@every_network
@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_a_foreign_model_is_changed(name: str, training: bool):
    make, shape, _, _ = NETWORKS[name]
    plain = make().train(training)
    watched, x = copy.deepcopy(plain), torch.randn(shape)
    before = [set(vars(module)) for module in watched.modules()]
    ends = []
    for model in (plain, watched):
        torch.manual_seed(1)
        if model is watched:
            with record_attention(model) as maps:
                y = tensor_of(model(x))
            assert maps
        else:
            y = tensor_of(model(x))
        y.square().sum().backward()
        ends.append((y.detach(), state(model), torch.get_rng_state()))
    assert torch.equal(ends[0][0], ends[1][0])
    assert same(ends[0][1], ends[1][1])
    assert torch.equal(ends[0][2], ends[1][2])
    assert hooks(watched) == 0
    assert [module.training for module in watched.modules()] == [module.training for module in plain.modules()]
    assert [set(vars(module)) for module in watched.modules()] == before
    assert _get_current_dispatch_mode_stack() == []


@pytest.mark.parametrize("config", [(ViTModel, ViTConfig), (Dinov2Model, Dinov2Config)], ids=["ViT", "DINOv2"])
def test_maps_equal_those_that_transformers_returns(config: tuple[type, type]):
    eager, x = of_transformers(*config, "eager"), torch.randn(2, 3, 64, 64)
    fused = of_transformers(*config, "sdpa")
    fused.load_state_dict(eager.state_dict())
    with torch.no_grad(), record_attention(eager) as of_eager, record_attention(fused) as of_fused:
        returned = eager(x, output_attentions=True).attentions
        fused(x)
    for A, of_both in zip(returned, zip(of_eager.values(), of_fused.values(), strict=True), strict=True):
        for found in of_both:
            torch.testing.assert_close(found["position"], A, atol=1e-6, rtol=0)


def masks(N: int) -> Iterator[dict[str, Tensor | bool]]:
    causal = torch.ones(N, N, dtype=torch.bool).triu(1)
    padded = torch.tensor([[False] * N, [False] * (N - 2) + [True] * 2])
    yield {}
    yield {"attn_mask": causal}
    yield {"attn_mask": causal, "is_causal": True}
    yield {"key_padding_mask": padded}
    yield {"attn_mask": torch.randn(N, N)}


@pytest.mark.parametrize("given", [*masks(5)], ids=lambda given: " ".join(given) or "no mask")
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_torchs_heads_in_all_their_ways(given: dict, need_weights: bool, grad: bool):
    heads, x = nn.MultiheadAttention(16, 4, batch_first=True).eval(), torch.randn(2, 5, 16)
    with torch.set_grad_enabled(grad), record_attention(heads) as maps:      # without gradients it has a faster way
        heads(x, x, x, need_weights=need_weights, **given)
    expected = heads(x, x, x, average_attn_weights=False, **given)[1]
    torch.testing.assert_close(maps[""]["position"], expected.detach(), atol=1e-6, rtol=0)


def test_torchs_heads_that_look_elsewhere_and_those_that_drop():
    heads, x, y = nn.MultiheadAttention(16, 4, dropout=0.5).train(), torch.randn(5, 2, 16), torch.randn(7, 2, 16)
    with record_attention(heads) as maps:
        heads(x, y, y)                                                     # (N, B, d) is torch's first layout
    expected = heads.eval()(x, y, y, average_attn_weights=False)[1]
    torch.testing.assert_close(maps[""]["position"], expected.detach(), atol=1e-6, rtol=0)
    with record_attention(heads) as maps:
        heads(x[:, 0], y[:, 0], y[:, 0])
    torch.testing.assert_close(maps[""]["position"], expected[:1].detach(), atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_an_encoder_that_runs_as_one_operation(norm_first: bool, padded: bool, monkeypatch: pytest.MonkeyPatch):
    """Without gradients torch's encoder calls no module for its attention: a hook on one would see nothing."""
    layer = nn.TransformerEncoderLayer(16, 4, batch_first=True, norm_first=norm_first)
    encoder, x = nn.TransformerEncoder(layer, 2).eval(), torch.randn(2, 5, 16)
    mask = torch.tensor([[False] * 4 + [True], [False] * 3 + [True] * 2]) if padded else None
    with record_attention(encoder) as slow:
        encoder(x, src_key_padding_mask=mask)
    monkeypatch.delattr(nn.MultiheadAttention, "forward")
    with torch.no_grad(), record_attention(encoder) as fast:
        y = encoder(x, src_key_padding_mask=mask)
    with torch.no_grad():
        assert torch.equal(y, encoder(x, src_key_padding_mask=mask))
    assert list(fast) == list(slow) == ["layers.0.self_attn", "layers.1.self_attn"]
    for name, found in fast.items():
        N = found["position"].shape[-1]                                    # that of the longest sample, if torch cuts
        for sample, length in enumerate((4, 3) if padded else (5, 5)):
            A, expected = found["position"][sample, :, :length], slow[name]["position"][sample, :, :length, :N]
            torch.testing.assert_close(A, expected, atol=1e-6, rtol=0)


def test_gates_of_cbam_and_of_other_squeezes():
    x = torch.randn(2, 16, 5, 7)
    cbam = nn.Sequential(timm.layers.cbam.CbamModule(16), timm.layers.cbam.LightCbamModule(16)).eval()
    with record_attention(cbam) as maps:
        cbam(x)
    assert {name: list(found) for name, found in maps.items()} == {
        "0.channel": ["channel"], "0.spatial": ["spatial"], "1.channel": ["channel"], "1.spatial": ["spatial"]}
    refined = cbam[0].channel(x)
    pools = torch.cat([refined.mean(1, keepdim=True), refined.amax(1, keepdim=True)], 1)
    expected = torch.sigmoid(cbam[0].spatial.conv(pools))[:, 0].detach()
    torch.testing.assert_close(maps["0.spatial"]["spatial"], expected, atol=1e-6, rtol=0)
    gate = maps["0.channel"]["channel"][..., None, None]
    torch.testing.assert_close(gate * x, refined.detach(), atol=1e-6, rtol=0)
    squeezes = timm.layers.squeeze_excite
    for module in (squeezes.EffectiveSEModule(16), timm.layers.eca.CecaModule(), squeezes.SqueezeExciteCl(7)):
        with record_attention(module) as maps:
            y = module(x).detach()
        last = isinstance(module, squeezes.SqueezeExciteCl)
        gate = maps[""]["channel"][:, None, None] if last else maps[""]["channel"][..., None, None]
        assert maps[""]["channel"].shape == (2, 7 if last else 16)
        torch.testing.assert_close(gate * x, y, atol=1e-6, rtol=0)


def as_timms(net: pretrained.VisionTransformer) -> dict[str, Tensor]:
    """The weights of `net` by the names of timm's vit_small_patch14_dinov2, for photographs of 224 × 224."""
    named = {"cls_token": net.class_token, "pos_embed": net.resized_positions(16, 16)}
    named |= {f"patch_embed.proj.{key}": t for key, t in net.patches.state_dict().items()}
    named |= {f"norm.{key}": t for key, t in net.norm.state_dict().items()}
    for i, layer in enumerate(net.layers):
        own = layer.attention
        for part in ("weight", "bias"):
            named[f"blocks.{i}.attn.qkv.{part}"] = torch.cat([getattr(W, part) for W in (own.W_Q, own.W_K, own.W_V)])
            for theirs, ours in {"attn.proj": own.W_O, "norm1": layer.norm1, "norm2": layer.norm2,
                                 "mlp.fc1": layer.mlp[0], "mlp.fc2": layer.mlp[2]}.items():
                named[f"blocks.{i}.{theirs}.{part}"] = getattr(ours, part)
        named |= {f"blocks.{i}.ls1.gamma": layer.scale1, f"blocks.{i}.ls2.gamma": layer.scale2}
    return named


@torch.no_grad()
def test_the_shipped_weights_in_timms_network_give_our_maps():
    net = pretrained.vision_transformer()
    theirs = timm.create_model("vit_small_patch14_dinov2", img_size=224).eval()
    theirs.load_state_dict(as_timms(net))
    x = picture(load("chelsea"), 224)
    with record_attention(net) as ours, record_attention(theirs) as maps:
        tokens, theirs_tokens = net(x), theirs.forward_features(net.normalise(x))
    torch.testing.assert_close(theirs_tokens, tokens, atol=1e-3, rtol=0)
    assert list(maps) == [f"blocks.{i}.attn" for i in range(12)]
    for A, B in zip(ours.values(), maps.values(), strict=True):
        assert (A["position"] - B["position"]).abs().max() < 1e-5


class Mixer(nn.Module):
    """Attention that does not say so: softmax over a square of tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.mT).softmax(-1) @ x


class FusedMixer(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0]


class ByLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.normalise = nn.Softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(x @ x.mT) @ x


class GatedAttention(nn.Module):
    """Called attention, and of no kind that is known."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class AttentionStage(nn.Module):
    """Called attention because of the block inside it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Classifier(nn.Module):
    """A softmax over classes, as many as places or not, is no attention."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :3].softmax(-1).sum() + x.mean(1).softmax(-1)


def warned(model: nn.Module, x: Tensor, passes: int = 1) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with record_attention(model):
            for _ in range(passes):
                model(x)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("unknown", [Mixer, FusedMixer, ByLayer, GatedAttention])
def test_attention_that_cannot_be_read_is_named_once(unknown: type[nn.Module]):
    model = nn.Sequential(ScaledDotProductAttention(8, h=2), *(unknown() for _ in range(5)))
    told = warned(model, torch.randn(2, 8, 8), passes=3)
    assert told == [f"record_attention has no maps of {unknown.__name__} ('1', '2', '3', …): "
                    "it does not know how to read them"]
    assert warned(AttentionStage(model), torch.randn(2, 8, 8)) == [
        told[0].replace("'1', '2', '3'", "'inner.1', 'inner.2', 'inner.3'")]


def test_a_known_name_with_other_contents_is_named_too():
    class SEModule(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)                                    # a gate for each number is none for channels

    class Attention(nn.Module):
        num_heads = 4

        def forward(self, x: Tensor) -> Tensor:
            return x[:, None].softmax(-1)[:, 0]                            # one head, where it promises four

    class SpatialAttn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    for module in (SEModule(), Attention(), SpatialAttn()):
        told = warned(nn.Sequential(module), torch.randn(2, 6, 4, 4)[:, 0] if isinstance(module, Attention)
                      else torch.randn(2, 6, 4, 4))
        assert len(told) == 1
        assert f"{type(module).__name__} ('0')" in told[0]


def test_what_is_read_or_is_no_attention_is_not_named():
    x = torch.randn(2, 8, 8)
    known = nn.MultiheadAttention(8, 2, batch_first=True)
    encoder = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    for model in (AttentionStage(ScaledDotProductAttention(8, h=2)), AttentionStage(encoder),
                  nn.Sequential(ScaledDotProductAttention(8, h=2), Classifier())):
        assert warned(model, x) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with record_attention(known):
            known(x, x, x)
        with record_attention(known), pytest.raises(AssertionError, match="embedding dimension"):
            known(x[..., :4], x, x)


def test_a_model_without_attention_is_refused_as_before():
    with pytest.raises(ValueError, match="got Sequential, which holds none"), \
            record_attention(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Softmax(-1))):
        pass


def test_passes_names_and_parts_are_counted_as_those_of_our_blocks():
    model, x = timm.create_model("vit_tiny_patch16_224", img_size=64).eval(), torch.randn(2, 3, 64, 64)
    names = [f"blocks.{i}.attn" for i in range(12)]
    with torch.no_grad(), record_attention(model) as maps:
        for i in range(2):
            model(x + i)
            assert list(maps) == names
        model.forward_features(x)
        model.forward_features(2 * x)
        assert list(maps) == names
        copied = copy.deepcopy(model)
        before = dict(maps)
        copied(x)
        assert all(maps[name] is before[name] for name in names)
    assert hooks(copied) == 0

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.MultiheadAttention(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.heads(self.heads(x, x, x)[0], x, x)[0]

    twice = Twice()
    with record_attention(twice) as maps:
        twice(torch.randn(5, 2, 8))
    assert list(maps) == ["heads", "heads:2"]


def test_recordings_of_foreign_models_end_in_any_order():
    model, x = nn.Sequential(timm.create_model("seresnet18").layer1), torch.randn(2, 64, 8, 8)
    first, second = record_attention(model), record_attention(model)
    one, two = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    model(x)
    second.__exit__(None, None, None)
    model(x)
    assert (list(one), list(two)) == ([], ["0.0.se", "0.1.se"])
    assert _get_current_dispatch_mode_stack() == []
