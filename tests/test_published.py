"""The papers' networks: size and cost equal to the published figures, and each block where its paper puts it."""

import re
import subprocess
import sys
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attention_lite import (
    PSA,
    AttentionBlock,
    BAMBlock,
    CBAMBlock,
    DAModule,
    ECAAttention,
    SEAttention,
    SKAttention,
    record_attention,
)
from attention_lite.danet import PositionAttentionModule
from attention_lite.emsa import EMSA
from attention_lite.published import (
    ATTENTION,
    ECA_KERNELS,
    TABLE,
    ResNet,
    ResT,
    Row,
    epsanet50,
    macs,
    parameters,
    resnet,
    sknet50,
)
from attention_lite.published.resnet import DEPTHS, Residual, conv_bn_relu
from attention_lite.published.rest import Block

BLOCKS = {"se": SEAttention, "eca": ECAAttention, "cbam": CBAMBlock, "sk": SKAttention, "psa": PSA, "bam": BAMBlock,
          "danet": DAModule}
ON_THE_BRANCH = ("se", "eca", "cbam")
REST = [row for row in TABLE if row.source == "zhang2021rest"]
ECA = [row for row in TABLE if row.source == "wang2020eca"]
REST_DEPTHS = {"ResT-Lite": (2, 2, 2, 2), "ResT-Small": (2, 2, 6, 2), "ResT-Base": (2, 2, 6, 2),
               "ResT-Large": (2, 2, 18, 2)}


def named(rows: list[Row]) -> list:
    return [pytest.param(row, id=row.name) for row in rows]


def on_meta(build) -> nn.Module:
    """A network without numbers: quick to build and to count."""
    with torch.device("meta"):
        return build()


def blocks(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


def rounded(value: float, like: str) -> str:
    """`value` with as many decimals as the number in `like`, and in its unit."""
    number, unit = like.split(" ")
    return f"{value:.{len(number.partition('.')[2])}f} {unit}"


# The published figures

def test_table_holds_each_network_once():
    assert len({row.name for row in TABLE}) == len(TABLE) == 25
    assert sum(row.macs is None for row in TABLE) == 1             # no source prints those of SE without biases


@pytest.mark.parametrize("row", named(TABLE))
def test_parameters_are_the_published_ones(row):
    assert parameters(on_meta(row.build)) == row.parameters


@pytest.mark.parametrize("row", named([row for row in TABLE if row.parameters_printed and row not in (*REST, *ECA)]))
def test_parameters_round_to_what_the_paper_prints(row):
    if row.source == "torchvision":
        assert row.parameters_printed == str(row.parameters)
    else:
        assert rounded(row.parameters / 1e6, row.parameters_printed) == row.parameters_printed


@pytest.mark.parametrize("row", named(ECA))
def test_ecas_million_is_another_and_its_code_prints_three_digits_of_it_that_its_table_rounds_again(row):
    three = Decimal(f"{row.parameters / 2**20:.3f}")
    assert f"{three.quantize(Decimal('0.01'), ROUND_HALF_UP)} M" == row.parameters_printed


@pytest.mark.thorough
@pytest.mark.parametrize("row", named([row for row in TABLE if row.macs is not None and row not in (*REST, *ECA)]))
def test_macs_are_the_papers_within_one_per_cent(row):
    assert macs(on_meta(row.build)) / 1e9 == pytest.approx(row.macs, rel=0.01)


@pytest.mark.parametrize("row", named(ECA))
def test_ecas_macs_are_the_papers_within_one_per_cent_when_its_norms_are_counted_too(row):
    network, touched = on_meta(row.build), []
    for norm in blocks(network, nn.BatchNorm2d):
        norm.register_forward_hook(lambda _, args, out: touched.append(out.numel()))
    network.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    assert rounded(row.macs * 1e9 / 2**30, row.macs_printed) == row.macs_printed
    assert macs(network) / 1e9 + 2 * sum(touched) / 1e9 == pytest.approx(row.macs, rel=0.01)


@pytest.mark.thorough
def test_epsanets_large_figures_belong_to_kernels_whose_squares_sum_to_108():
    def printed(depth: int, kernels: tuple[int, ...]) -> bool:
        """Whether both figures are the printed ones: the operations stray as those of the small networks do."""
        row = next(row for row in TABLE if row.name == f"EPSANet-{depth} (large)")
        network = on_meta(lambda: ResNet(depth, "psa", published=True, width=128, kernels=kernels, groups=[32] * 4))
        return (rounded(parameters(network) / 1e6, row.parameters_printed) == row.parameters_printed
                and macs(network) / 1e9 == pytest.approx(row.macs, rel=0.01))

    fits = {kernels for kernels in combinations_with_replacement((3, 5, 7, 9), 4) if printed(50, kernels)}
    assert fits == {(3, 5, 5, 7), (3, 3, 3, 9)}                    # 3, 5, 7, 9 is not among them
    assert all(sum(k * k for k in kernels) == 108 and printed(101, kernels) for kernels in fits)


def test_the_authors_kernels_of_eca_by_depth():
    for depth, (counts, expansion) in DEPTHS.items():
        network = on_meta(lambda d=depth: ResNet(d, "eca", published=True))
        kernels = [[eca.conv.kernel_size[0] for eca in blocks(stage, ECAAttention)] for stage in network.stages]
        assert kernels == [[k] * n for k, n in zip(ECA_KERNELS[depth], counts, strict=True)]
        plain = parameters(on_meta(lambda d=depth: ResNet(d)))
        assert parameters(network) - plain == sum(map(sum, kernels))
        formula = on_meta(lambda d=depth: ResNet(d, "eca"))
        assert [eca.conv.kernel_size[0] for eca in blocks(formula, ECAAttention)] == [
            ECAAttention(64 * 2**s * expansion).conv.kernel_size[0] for s, n in enumerate(counts) for _ in range(n)]


def test_macs_that_bam_adds_round_to_the_papers():
    row = next(row for row in TABLE if row.name == "BAM-ResNet-50")
    added = macs(on_meta(row.build)) - macs(on_meta(lambda: ResNet(50, stride_first=True)))
    assert f"+{added / 1e9:.2f} G" == row.macs_printed


@pytest.mark.parametrize("row", named([row for row in TABLE if row.macs is not None
                                       and row.source not in ("park2018bam", "wang2020eca")]))
def test_printed_macs_are_the_number_in_the_table(row):
    assert rounded(row.macs, row.macs_printed) == row.macs_printed


@pytest.mark.parametrize("row", named(REST))
def test_rests_printed_figures_are_those_of_another_stem_without_the_attention_products(row):
    network = on_meta(row.build)
    width = network.head.in_features // 8
    assert macs(network) / 1e9 > 1.05 * row.macs                   # what the note explains
    network.embeddings[0] = nn.Sequential(                         # ResNet's stem for the three convolutions
        on_meta(lambda: conv_bn_relu(3, width, 7, 2)), nn.MaxPool2d(3, 2, padding=1), network.embeddings[0][-1])
    assert rounded(parameters(network) / 1e6, row.parameters_printed) == row.parameters_printed
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    by_operation = counter.get_flop_counts()["Global"]
    products = by_operation.pop(torch.ops.aten.bmm)
    places = (56**2, 28**2, 14**2, 7**2)                           # each has 49 products with keys and 49 with values
    stages = list(enumerate(zip(places, REST_DEPTHS[row.name], strict=True)))
    # The mix of a stage's 2ˢ heads is computed as such a product too, but is one of the printed convolutions.
    mixes = 2 * sum(depth * n * 49 * 4**s for s, (n, depth) in stages if s)
    assert products - mixes == 2 * sum(2 * depth * n * 49 * width * 2**s for s, (n, depth) in stages)
    assert rounded((sum(by_operation.values()) + mixes) / 2e9, row.macs_printed) == row.macs_printed


def test_macs_by_hand():
    assert macs(nn.Conv2d(3, 4, 3, padding=1), size=8) == 4 * 3 * 9 * 64
    attention = nn.Sequential(nn.Conv2d(3, 16, 1), PositionAttentionModule(16))
    assert macs(attention, size=4) == 16 * (3 * 16 + 3 * 16 * 16) + 2 * 16 * 16 * 16     # the fused kernel's too


def test_macs_leaves_the_network_as_it_is():
    network = conv_bn_relu(3, 4, 3).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    macs(network, size=8)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


# They run

@pytest.mark.thorough
@pytest.mark.parametrize("row", named(TABLE))
def test_forward(row):
    torch.manual_seed(0)
    with torch.no_grad():
        scores = row.build().eval()(torch.randn(1, 3, 224, 224))
    assert scores.shape == (1, 1000)
    assert torch.isfinite(scores).all()


@pytest.mark.thorough
@pytest.mark.parametrize("build", [
    *(pytest.param(lambda a=a, p=p: ResNet(50, a, published=p, classes=5), id=f"{a}{'-published' * p}")
      for a in ATTENTION for p in (False, True)),
    pytest.param(lambda: ResNet(18, "cbam", classes=5), id="18-cbam"),
    pytest.param(lambda: ResT("small", classes=5), id="rest"),
])
def test_a_training_step_reaches_every_weight(build):
    torch.manual_seed(0)
    network = build().train()
    scores = network(torch.randn(2, 3, 64, 64))
    nn.functional.cross_entropy(scores, torch.tensor([1, 3])).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert torch.isfinite(p.grad).all(), name
    for block in blocks(network, AttentionBlock):
        assert any(p.grad.abs().sum() > 0 for p in block.parameters())


# Each block stands where its paper puts it

@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
@pytest.mark.parametrize("attention", [*BLOCKS, "none"])
def test_number_of_blocks(attention, depth):
    if attention in ("sk", "psa") and depth < 50:
        with pytest.raises(ValueError, match=f"'{attention}' stands .* depth must be 50, 101 or 152, got {depth}"):
            ResNet(depth, attention)
        return
    network = on_meta(lambda: ResNet(depth, attention))
    residual = {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}[depth]
    assert len(blocks(network, Residual)) == residual
    for name, kind in BLOCKS.items():
        expected = {"bam": 3, "danet": 1}.get(name, residual) if name == attention else 0
        assert len(blocks(network, kind)) == expected, name


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("attention", ON_THE_BRANCH)
def test_gates_close_the_branch_and_not_the_shortcut(attention, depth):
    torch.manual_seed(0)
    network = ResNet(depth, attention).eval()
    for residual in (network.stages[0][0], network.stages[0][1], network.stages[3][0]):
        x = torch.randn(1, residual.branch[0][0].in_channels, 8, 8)
        seen = []
        residual.attention.register_forward_hook(lambda _, args, out, seen=seen: seen.append(args[0]) or 0 * out)
        with torch.no_grad():
            assert torch.equal(residual(x), torch.relu(residual.shortcut(x)))
            assert torch.equal(seen[0], residual.branch(x))        # the last batch norm is behind it


@pytest.mark.parametrize("attention", ["sk", "psa"])
def test_sk_and_psa_replace_every_3x3_and_shrink_the_map(attention):
    network = on_meta(lambda: ResNet(50, attention))
    inside = {module for block in blocks(network, BLOCKS[attention]) for module in block.modules()}
    outside = [conv for conv in blocks(network, nn.Conv2d) if conv not in inside]
    assert {conv.kernel_size for conv in outside} == {(1, 1), (7, 7)}
    for stage, sequence in enumerate(network.stages):
        for i, residual in enumerate(sequence):
            block = blocks(residual, BLOCKS[attention])[0]
            x = torch.empty(1, 64 * 2**stage, 8, 8, device="meta")
            side = 4 if stage > 0 and i == 0 else 8
            assert block(x).shape == (1, 64 * 2**stage, side, side)


def test_psa_is_normed_and_sk_is_not_again():
    assert [type(m) for m in on_meta(epsanet50).stages[0][0].branch.spatial] == [PSA, nn.BatchNorm2d, nn.ReLU]
    assert type(on_meta(sknet50).stages[0][0].branch.spatial) is SKAttention


def test_bam_stands_between_the_stages_and_danet_behind_the_last():
    seen: dict[type, list[tuple[int, ...]]] = {BAMBlock: [], DAModule: []}
    for attention, kind in (("bam", BAMBlock), ("danet", DAModule)):
        network = on_meta(lambda a=attention: ResNet(50, a)).eval()
        for block in blocks(network, kind):
            block.register_forward_pre_hook(lambda block, args: seen[type(block)].append(tuple(args[0].shape[1:])))
        network(torch.empty(1, 3, 64, 64, device="meta"))
        assert all(isinstance(stage[-1], kind) for stage in network.stages[:3] if attention == "bam")
    assert seen[BAMBlock] == [(256, 16, 16), (512, 8, 8), (1024, 4, 4)]
    assert seen[DAModule] == [(512, 2, 2)]
    assert isinstance(network.stages[-1][-1], DAModule)


@pytest.mark.parametrize(("attention", "names", "last"), [
    ("se", {"stages.0.0.attention", "stages.3.2.attention"}, {"channel": (2, 2048)}),
    ("eca", {"stages.0.0.attention", "stages.3.2.attention"}, {"channel": (2, 2048)}),
    ("cbam", {"stages.0.0.attention", "stages.3.2.attention"}, {"channel": (2, 2048), "spatial": (2, 2, 2)}),
    ("sk", {"stages.0.0.branch.spatial", "stages.3.2.branch.spatial"}, {"kernel": (2, 2, 512)}),
    ("psa", {"stages.0.0.branch.spatial.0", "stages.3.2.branch.spatial.0"}, {"split": (2, 4, 128)}),
    ("bam", {"stages.0.bam", "stages.1.bam", "stages.2.bam"},
     {"channel_and_place": (2, 1024, 4, 4), "channel_logits": (2, 1024), "spatial_logits": (2, 4, 4)}),
    ("danet", {"stages.3.danet", "stages.3.danet.position", "stages.3.danet.channel"},
     {"channel_to_channel": (2, 512, 512)}),
])
def test_recorded_maps_have_plain_names(attention, names, last):
    torch.manual_seed(0)
    network = ResNet(50, attention, classes=5).eval()
    with record_attention(network) as maps, torch.no_grad():
        network(torch.randn(2, 3, 64, 64))
    assert len(maps) == {"bam": 3, "danet": 3}.get(attention, 16)
    assert names <= set(maps)
    assert {key: tuple(value.shape) for key, value in list(maps.values())[-1].items()} == last


def test_published_variants_and_the_papers_defaults():
    def built(attention: str, published: bool) -> list[nn.Module]:
        return blocks(on_meta(lambda: ResNet(50, attention, published=published)), BLOCKS[attention])

    for published in (False, True):
        assert all((se.W1.bias is not None) == published for se in built("se", published))
        for attention, width in (("cbam", 256), ("bam", 256), ("psa", 64), ("danet", 512)):
            first = repr(built(attention, published)[0])           # a module's repr names its layers and their sizes
            assert first == repr(BLOCKS[attention](width, published=published))
            assert first != repr(BLOCKS[attention](width, published=not published))
    kernels = {published: [eca.conv.kernel_size[0] for eca in built("eca", published)] for published in (False, True)}
    assert kernels[True] == 3 * [3] + 4 * [5] + 6 * [5] + 3 * [7]
    assert kernels[False] == 13 * [5] + 3 * [7]
    assert parameters(on_meta(sknet50)) == parameters(on_meta(lambda: ResNet(50, "sk", published=True, width=128)))


def test_the_blocks_own_arguments():
    for r in (4, 16):
        se = blocks(on_meta(lambda r=r: ResNet(18, "se", reduction=r)), SEAttention)
        assert [block.W1.out_features for block in se] == [c // r for c in (64, 128, 256, 512) for _ in range(2)]
    for given, expected in ((9, [9] * 4), ((1, 3, 5, 9), [1, 3, 5, 9])):
        for published in (False, True):
            network = on_meta(lambda k=given, p=published: ResNet(50, "eca", published=p, kernel_size=k))
            kernels = [{eca.conv.kernel_size[0] for eca in blocks(stage, ECAAttention)} for stage in network.stages]
            assert kernels == [{k} for k in expected]
    cbam = blocks(on_meta(lambda: ResNet(18, "cbam", kernel_size=3)), CBAMBlock)[0]
    assert repr(cbam) == repr(CBAMBlock(64, kernel_size=3))
    assert repr(blocks(on_meta(lambda: ResNet(18, "bam", dia_val=2)), BAMBlock)[0]) == repr(BAMBlock(64, dia_val=2))
    assert repr(blocks(on_meta(lambda: ResNet(50, "sk", M=3)), SKAttention)[0]) == repr(SKAttention(64, M=3))
    danet = blocks(on_meta(lambda: ResNet(18, "danet", kernel_size=1)), DAModule)[0]
    assert repr(danet) == repr(DAModule(128, kernel_size=1))


def test_cardinality_parts_the_3x3_convolutions_alone():
    network = on_meta(lambda: ResNet(50, width=128, cardinality=32))
    assert parameters(network) == 25_028_904                       # ResNeXt-50 (32×4d), as torchvision counts it
    assert {(conv.kernel_size[0], conv.groups) for conv in blocks(network, nn.Conv2d)} == {(7, 1), (1, 1), (3, 32)}


@pytest.mark.parametrize("stride_first", [False, True])
def test_where_the_map_shrinks(stride_first):
    network = on_meta(lambda: ResNet(50, stride_first=stride_first))
    for stage in range(1, 4):
        first, second = network.stages[stage][0].branch[:2]
        assert (first[0].stride, second[0].stride) == (((2, 2), (1, 1)) if stride_first else ((1, 1), (2, 2)))
        assert network.stages[stage][1].branch[0][0].stride == network.stages[stage][1].branch[1][0].stride == (1, 1)


def test_the_whole_network_by_hand():
    """One network of two kinds of layer, number by number: what `Residual` and `ResNet` put together."""
    torch.manual_seed(0)
    network, x = ResNet(18, "se", classes=5).double().eval(), torch.randn(1, 3, 40, 40, dtype=torch.float64)

    def conv(layer: nn.Sequential, y: Tensor) -> Tensor:
        weight = layer[0].weight
        y = nn.functional.conv2d(y, weight, None, layer[0].stride, weight.shape[-1] // 2)
        return y / (1 + layer[1].eps) ** 0.5                       # a fresh batch norm: mean 0, variance 1

    y = nn.functional.max_pool2d(conv(network.stem[0], x).relu(), 3, 2, 1)
    for residual in (residual for stage in network.stages for residual in stage):
        branch = conv(residual.branch[1], conv(residual.branch[0], y).relu())
        shortcut = y if isinstance(residual.shortcut, nn.Identity) else conv(residual.shortcut, y)
        y = (shortcut + residual.attention(branch)).relu()
    expected = y.mean((2, 3)) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", ["base", "large"])
def test_rests_stages(size):
    network = on_meta(lambda: ResT(size))
    for s, stage in enumerate(network.stages):
        assert len(stage) == REST_DEPTHS[f"ResT-{size.title()}"][s]
        for emsa in blocks(stage, EMSA):
            assert (emsa.d_model, emsa.h, emsa.ratio) == (96 * 2**s, 2**s, 8 // 2**s)
    seen: list[tuple[int, ...]] = []
    for stage in network.stages:
        stage.register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape)))
    network(torch.empty(2, 3, 96, 96, device="meta"))
    assert seen == [(2, 576, 96), (2, 144, 192), (2, 36, 384), (2, 9, 768)]


def test_rests_positions_matter_because_of_pixel_attention():
    torch.manual_seed(0)
    encode = ResT("small").embeddings[0][-1]
    x = torch.randn(1, 64, 5, 5)
    expected = x * torch.sigmoid(nn.functional.conv2d(x, encode.conv.weight, encode.conv.bias, padding=1, groups=64))
    torch.testing.assert_close(encode(x), expected)


def test_rests_block_and_head_by_hand():
    torch.manual_seed(0)
    block, x = Block(16, h=2, ratio=2).double(), torch.randn(2, 16, 16, dtype=torch.float64)
    y = x + block.attention(nn.functional.layer_norm(x, (16,)))
    expected = y + block.mlp[2](nn.functional.gelu(block.mlp[0](nn.functional.layer_norm(y, (16,)))))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)

    network, seen = ResT("small", classes=5).double().eval(), []
    network.stages[3].register_forward_hook(lambda _, args, out: seen.append(out))
    scores = network(torch.randn(1, 3, 64, 64, dtype=torch.float64))
    expected = nn.functional.layer_norm(seen[0], (512,)).mean(1) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-12)


# Sizes that are symbols

def short_rest() -> ResT:
    """ResT's first stage with one block: a size that its embedding shrinks twice, compiled in a tenth of the time."""
    torch.manual_seed(0)
    network = ResT("small", classes=5).eval()
    for stages in (network.embeddings, network.stages):
        del stages[1:]
    for stage in network.stages:
        del stage[1:]
    network.norm, network.head = torch.nn.LayerNorm(64), torch.nn.Linear(64, 5)
    return network


@pytest.mark.thorough
def test_rest_compiles_once_for_images_of_any_size():
    torch.compiler.reset()
    network, graphs = short_rest(), []

    def kept(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled = torch.compile(network, fullgraph=True, backend=kept, dynamic=True)
    for batch, side in [(2, 64), (3, 96), (4, 75)]:
        x = torch.randn(batch, 3, side, side)
        torch.testing.assert_close(compiled(x), network(x))
    assert len(graphs) == 1


@pytest.mark.thorough
def test_rest_exports_with_any_batch_and_size():
    network, free = short_rest(), torch.export.Dim.DYNAMIC
    program = torch.export.export(network, (torch.randn(2, 3, 64, 64),), dynamic_shapes=({0: free, 2: free, 3: free},))
    for batch, side in [(2, 64), (1, 96), (3, 75)]:
        x = torch.randn(batch, 3, side, side)
        torch.testing.assert_close(program.module()(x), network(x))


# What does not exist is refused

@pytest.mark.parametrize(("build", "message"), [
    (lambda: ResNet(20), "depth must be one of 18, 34, 50, 101, 152; got 20"),
    (lambda: ResNet("50"), "depth must be one of 18, 34, 50, 101, 152; got '50'"),
    (lambda: ResNet(50, "SE"), "attention must be one of none, se, eca, cbam, sk, psa, bam, danet; got 'SE'"),
    (lambda: ResNet(50, None), "attention must be one of none, se, eca, cbam, sk, psa, bam, danet; got None"),
    (lambda: ResNet(50, ["se"]), "attention must be one of none, se, eca, cbam, sk, psa, bam, danet; got ['se']"),
    (lambda: ResNet(50, "se", published="yes"), "published must be True or False, got 'yes'"),
    (lambda: ResNet(50, stride_first=1), "stride_first must be True or False, got 1"),
    (lambda: ResNet(50, width=0), "width must be a positive integer, got 0"),
    (lambda: ResNet(50, classes=-1), "classes must be a positive integer, got -1"),
    (lambda: ResNet(50, "sk", width=48), "group must divide channel, got group=32 and channel=48"),
    (lambda: ResNet(50, cardinality=0), "cardinality must be a positive integer, got 0"),
    (lambda: ResNet(50, cardinality=48), "cardinality must divide width, got cardinality=48 and width=64"),
    (lambda: ResNet(18, cardinality=32), "plain 3×3 convolution, which depth 18 with attention 'none' does not have"),
    (lambda: ResNet(50, "psa", cardinality=2), "depth 50 with attention 'psa' does not have; it must be 1, got 2"),
    (lambda: ResNet(50, reduction=8), "reduction must be left out when attention is 'none'"),
    (lambda: ResNet(50, "se", reduction=0), "reduction must be a positive integer, got 0"),
    (lambda: ResNet(50, "se", reduction=48), "reduction must divide channel, got reduction=48 and channel=256"),
    (lambda: ResNet(50, "eca", kernel_size=4), "kernel_size must be odd, got 4"),
    (lambda: ResNet(50, "eca", kernel_size=(3, 5, 7)), "one for each of the 4 stages, got 3: (3, 5, 7)"),
    (lambda: ResNet(50, "eca", kernel_size=(3, 5, 7, 8)), "kernel_size[3] must be odd, got 8"),
    (lambda: ResT("huge"), "size must be one of lite, small, base, large; got 'huge'"),
    (lambda: ResT(classes=0), "classes must be a positive integer, got 0"),
])
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        on_meta(build)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 64, 96), (1, 3, 32, 32)])
def test_rest_refuses_what_it_cannot_read(shape):
    network = on_meta(ResT)
    with pytest.raises(ValueError, match=re.escape(f"(B, 3, H, H) with H > 32, got shape {shape}")):
        network(torch.empty(shape, device="meta"))
    assert network(torch.empty(1, 3, 33, 33, device="meta")).shape == (1, 1000)


def test_resnet_reads_in_one_sitting():
    assert len(Path(resnet.__file__).read_text(encoding="utf-8").splitlines()) < 150


def test_the_package_does_not_load_them():
    program = "import sys, attention_lite; print(*(name for name in sys.modules if 'published' in name))"
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.split() == []
