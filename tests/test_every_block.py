"""What every block of the package must stand, whatever it computes: one table of blocks, one list of demands."""

import copy
import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import attention_lite
from attention_lite import (
    EMSA,
    PSA,
    AttentionBlock,
    BAMBlock,
    CBAMBlock,
    ChannelAttentionModule,
    CoordinateAttention,
    DAModule,
    ECAAttention,
    ExternalAttention,
    GlobalContextBlock,
    PositionAttentionModule,
    ScaledDotProductAttention,
    SEAttention,
    SimAM,
    SKAttention,
    record_attention,
)

DOUBLE = torch.float64


class Map(NamedTuple):
    """What a block's docstring promises of one of its maps."""

    shape: tuple[int, ...]
    low: float = 0
    high: float = 1
    axis: int | tuple[int, int] | None = None              # the axis that sums up, or both, if any
    total: float = 1                                       # and what it sums up to


class Case(NamedTuple):
    """A block, the shapes of its inputs, and what is expected of it."""

    build: Callable[[], AttentionBlock]
    shapes: tuple[tuple[int, ...], ...]
    maps: dict[str, Map]
    free: tuple[int, ...] = (0, 2, 3)                      # the axes that may have any length
    low: torch.dtype = torch.float32                       # dtype of the output of a float32 input under autocast
    without_effect: frozenset[str] = frozenset()           # parameters that no output depends on


IMAGE, TOKENS = ((2, 16, 6, 5),), ((2, 9, 16),)
CROSS = ((2, 4, 16), (2, 9, 16), (2, 9, 16))               # queries, keys and values of their own
CHANNEL = Map((2, 16))
LOGITS = {"channel_logits": Map((2, 16), -math.inf, math.inf), "spatial_logits": Map((2, 6, 5), -math.inf, math.inf)}
BAM = {"channel_and_place": Map((2, 16, 6, 5)), **LOGITS}
PLACES, CHANNELS = Map((2, 1, 30, 30), axis=-1), Map((2, 16, 16), axis=-1)
BFLOAT16 = torch.bfloat16


def emsa(shapes: tuple[tuple[int, ...], ...], places: int, square: bool = False, **kwargs: object) -> Case:
    """EMSA on a map of 3 × 3, or of any square."""
    queries = shapes[0][1]
    rows = Map((2, 4, queries, places), axis=-1)
    if kwargs.get("apply_transform", True):
        rows = Map((2, 4, queries, places), -math.inf, math.inf, -1, 0)
    dead = {"W_K.bias", "W_V.bias", "mix.bias"} if kwargs.get("bias") else set()  # tests/test_emsa.py says why
    if kwargs.get("ratio", 1) > 1 and kwargs.get("apply_transform", True):
        dead.add("norm.bias")
    size, free = ({}, (0, 1)) if square else ({"H": 3, "W": 3}, (0,))
    return Case(lambda: EMSA(16, h=4, **size, **kwargs), shapes, {"position": rows}, free, BFLOAT16, frozenset(dead))


CASES: dict[str, Case] = {
    "SE": Case(lambda: SEAttention(16, 4), IMAGE, {"channel": CHANNEL}),
    "SE with biases": Case(lambda: SEAttention(16, 4, bias=True), IMAGE, {"channel": CHANNEL}),
    "SE with a hard sigmoid": Case(lambda: SEAttention(16, 4, sigmoid=F.hardsigmoid), IMAGE, {"channel": CHANNEL}),
    "ECA by channels": Case(lambda: ECAAttention(16), IMAGE, {"channel": CHANNEL}),
    "ECA by kernel": Case(lambda: ECAAttention(kernel_size=5), IMAGE, {"channel": CHANNEL}),
    "CBAM": Case(lambda: CBAMBlock(16, 4), IMAGE, {"channel": CHANNEL, "spatial": Map((2, 6, 5))}),
    "CBAM published": Case(lambda: CBAMBlock(16, 4, published=True), IMAGE,
                           {"channel": CHANNEL, "spatial": Map((2, 6, 5))}),
    "BAM": Case(lambda: BAMBlock(16, 4), IMAGE, BAM),
    "BAM published": Case(lambda: BAMBlock(16, 4, published=True), IMAGE, BAM),
    "coordinate": Case(lambda: CoordinateAttention(16, 4), IMAGE,
                       {"rows": Map((2, 16, 6)), "columns": Map((2, 16, 5))}),
    "global context": Case(lambda: GlobalContextBlock(16, 4), IMAGE, {"context": Map((2, 6, 5), axis=(1, 2))},
                           without_effect=frozenset({"W_k.bias"})),
    "SimAM": Case(SimAM, IMAGE, {"channel_and_place": Map((2, 16, 6, 5), low=0.62)}),
    "SimAM published": Case(lambda: SimAM(published=True), IMAGE,
                            {"channel_and_place": Map((2, 16, 6, 5), low=0.62)}),
    "SK": Case(lambda: SKAttention(16, 4, group=4, L=8), IMAGE, {"kernel": Map((2, 2, 16), axis=1)}, low=BFLOAT16),
    "SK stride 2": Case(lambda: SKAttention(16, 4, M=3, group=4, L=8, stride=2), IMAGE,
                        {"kernel": Map((2, 3, 16), axis=1)}, low=BFLOAT16),
    "PSA": Case(lambda: PSA(16, 2, (3, 5)), IMAGE, {"split": Map((2, 2, 8), axis=1)}, low=BFLOAT16),
    "PSA published": Case(lambda: PSA(16, 2, (3, 5), published=True), IMAGE,
                          {"split": Map((2, 2, 8), axis=1)}, low=BFLOAT16),
    "PSA stride 2": Case(lambda: PSA(16, 2, (3, 5), stride=2), IMAGE, {"split": Map((2, 2, 8), axis=1)}, low=BFLOAT16),
    "self-attention": Case(lambda: ScaledDotProductAttention(16, h=4), TOKENS,
                           {"position": Map((2, 4, 9, 9), axis=-1)}, (0, 1), BFLOAT16),
    "cross-attention": Case(lambda: ScaledDotProductAttention(16, 3, 5, h=4, bias=True), CROSS,
                            {"position": Map((2, 4, 4, 9), axis=-1)}, (0, 1), BFLOAT16, frozenset({"W_K.bias"})),
    "DANet position": Case(lambda: PositionAttentionModule(16), IMAGE, {"position": PLACES},
                           without_effect=frozenset({"B.bias"})),
    "DANet position published": Case(lambda: PositionAttentionModule(16, published=True), IMAGE,
                                     {"position": PLACES}, without_effect=frozenset({"B.bias"})),
    "DANet channel": Case(ChannelAttentionModule, IMAGE, {"channel_to_channel": CHANNELS}),
    "DANet channel published": Case(lambda: ChannelAttentionModule(published=True), IMAGE,
                                    {"channel_to_channel": CHANNELS}),
    "DANet": Case(lambda: DAModule(16), IMAGE, {"position": PLACES, "channel_to_channel": CHANNELS},
                  low=BFLOAT16, without_effect=frozenset({"position.B.bias"})),
    "DANet published": Case(lambda: DAModule(16, published=True), IMAGE,
                            {"position": PLACES, "channel_to_channel": CHANNELS},
                            low=BFLOAT16, without_effect=frozenset({"position.B.bias"})),
    "EMSA": emsa(TOKENS, 9),
    "EMSA ratio 2": emsa(TOKENS, 4, ratio=2),
    "EMSA with biases": emsa(CROSS, 4, ratio=2, bias=True),
    "EMSA without transform": emsa(TOKENS, 9, apply_transform=False),
    "EMSA ratio 2 without transform": emsa(CROSS, 4, ratio=2, apply_transform=False),
    "EMSA of a square": emsa(TOKENS, 4, square=True, ratio=2),
    "EMSA of a square without transform": emsa(CROSS, 4, square=True, ratio=2, apply_transform=False),
    "external": Case(lambda: ExternalAttention(16, 8), TOKENS, {"slot": Map((2, 1, 9, 8), axis=-1)}, (0, 1), BFLOAT16),
    "external, four heads": Case(lambda: ExternalAttention(16, 8, h=4), TOKENS,
                                 {"slot": Map((2, 4, 9, 8), axis=-1)}, (0, 1), BFLOAT16),
}
every_block = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def built(case: Case) -> AttentionBlock:
    """The block with its seeded weights, and alpha and beta, which start at 0, away from it."""
    torch.manual_seed(0)
    block = case.build()
    for p in block.parameters():
        if p.dim() == 0:
            nn.init.constant_(p, 0.5)
    return block


def inputs(case: Case, dtype: torch.dtype = torch.float32, batch: int = 2, requires_grad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(batch, *shape[1:], generator=generator) for shape in case.shapes]
    return [t.to(dtype).requires_grad_(requires_grad) for t in made]


PUBLIC = {thing for name in attention_lite.__all__ if isinstance(thing := getattr(attention_lite, name), type)}
PUBLIC -= {AttentionBlock}


def test_no_public_block_is_missing_from_the_table():
    assert all(issubclass(block, AttentionBlock) for block in PUBLIC)
    assert {type(case.build()) for case in CASES.values()} == PUBLIC


def test_no_published_variant_is_missing_from_the_table():
    in_the_table = {type(case.build()) for name, case in CASES.items() if name.endswith("published")}
    assert in_the_table == {block for block in PUBLIC if "published" in inspect.signature(block).parameters}


@every_block
@pytest.mark.parametrize("train", [False, True])
def test_maps_have_the_documented_shape_range_and_sum(case, train):
    block = built(case).double().train(train)
    maps = block.attention(*inputs(case, DOUBLE))
    assert list(maps) == list(case.maps)
    for name, expected in case.maps.items():
        A = maps[name]
        assert A.shape == expected.shape
        assert A.dtype == DOUBLE
        assert torch.isfinite(A).all()
        assert A.min() > expected.low if expected.axis is None else A.min() >= expected.low
        assert A.max() < expected.high if expected.axis is None else A.max() <= expected.high
        if expected.axis is not None:
            sums = A.sum(expected.axis)
            torch.testing.assert_close(sums, torch.full_like(sums, expected.total), rtol=0, atol=1e-8)


@every_block
def test_float64_agrees_with_float32(case):
    block = built(case)
    single, twice = block(*inputs(case)), copy.deepcopy(block).double()(*inputs(case, DOUBLE))
    assert single.dtype == torch.float32
    assert twice.dtype == DOUBLE
    torch.testing.assert_close(single.double(), twice, rtol=1e-3, atol=1e-4)


@every_block
def test_autocast_to_bfloat16(case):
    block = built(case).eval()
    exact = block(*inputs(case))
    with torch.autocast("cpu", torch.bfloat16):
        low, from_low = block(*inputs(case, requires_grad=True)), block(*inputs(case, torch.bfloat16))
        maps = block.attention(*inputs(case))
    assert low.dtype == case.low
    assert from_low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), exact, rtol=0.1, atol=0.1)
    torch.testing.assert_close(from_low.float(), exact, rtol=0.1, atol=0.1)
    assert all(torch.isfinite(A).all() for A in maps.values())
    low.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters())


@every_block
def test_a_block_in_bfloat16_throughout(case):
    block = built(case)
    x, low = inputs(case), inputs(case, torch.bfloat16, requires_grad=True)
    exact = block(*x)
    y = block.bfloat16()(*low)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), exact, rtol=0.15, atol=0.15)
    y.sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in [*low, *block.parameters()])


@pytest.mark.thorough
@every_block
def test_compiles_without_a_break(case):
    torch.compiler.reset()                                 # rows of one class share a budget of compilations
    block, x = built(case), inputs(case, requires_grad=True)
    twin = copy.deepcopy(block)
    # "aot_eager" traces and differentiates the whole graph and needs no C++ compiler on the machine.
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    y, expected = compiled(*x), block(*x)
    torch.testing.assert_close(y, expected)
    leaves, twins = ([*x, *b.parameters()] for b in (block, twin))
    for a, b in zip(torch.autograd.grad(y.square().sum(), twins, allow_unused=True),
                    torch.autograd.grad(expected.square().sum(), leaves, allow_unused=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(twin.buffers(), block.buffers(), strict=True):          # the running statistics
        torch.testing.assert_close(ours, theirs)


@pytest.mark.thorough
@every_block
def test_compiles_under_autocast(case):
    torch.compiler.reset()
    block = built(case).eval()
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        torch.testing.assert_close(compiled(*inputs(case)), block(*inputs(case)))


def of_size(case: Case, batch: int, longer: int) -> list[Tensor]:
    """Random inputs, every free axis `longer` than in the table. (Of the 9 tokens, 7 and 16 more are squares, too.)"""
    return [torch.randn([batch if axis == 0 else size + longer * (axis in case.free)
                         for axis, size in enumerate(shape)]) for shape in case.shapes]


SIZES = [(2, 0), (3, 7), (5, 16)]


# The last row of each class whose axes are free, for what follows takes seconds a row.
ONE_OF_EACH = {type(case.build()).__name__: case for case in CASES.values() if len(case.free) > 1}
one_of_each = pytest.mark.parametrize("case", ONE_OF_EACH.values(), ids=ONE_OF_EACH)


def graphs_of_all_sizes(case: Case, dynamic: bool | None) -> int:
    """Run the compiled block on every size, and count the graphs that this took."""
    torch.compiler.reset()
    block, graphs = built(case).eval(), []

    def kept(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable:
        graphs.append(graph)
        return graph

    compiled = torch.compile(block, fullgraph=True, backend=kept, dynamic=dynamic)
    for size in SIZES:
        x = of_size(case, *size)
        torch.testing.assert_close(compiled(*x), block(*x))
    return len(graphs)


@pytest.mark.thorough
@every_block
def test_compiles_once_for_all_sizes(case):
    assert graphs_of_all_sizes(case, dynamic=True) == 1


@pytest.mark.thorough
@one_of_each
def test_compiles_twice_where_torch_finds_out_for_itself_that_sizes_differ(case):
    assert graphs_of_all_sizes(case, dynamic=None) == 2


@pytest.mark.thorough
@one_of_each
def test_exports_with_any_batch_and_size(case):
    block = built(case).eval()
    sizes = {axis: torch.export.Dim(f"size{axis}", min=1 if axis == 0 else 3) for axis in case.free}
    queries = {axis: torch.export.Dim(f"queries{axis}", min=2) for axis in case.free if axis} | {0: sizes[0]}
    if isinstance(block, EMSA) and block.size is None:     # no range holds squares only
        queries = sizes = dict.fromkeys(case.free, torch.export.Dim.DYNAMIC)
    dynamic = tuple(queries if i == 0 and len(case.shapes) > 1 else sizes for i in range(len(case.shapes)))
    program = torch.export.export(block, tuple(inputs(case)), dynamic_shapes=dynamic).module()
    for size in [*SIZES, (1, 7)]:
        x = of_size(case, *size)
        torch.testing.assert_close(program(*x), block(*x))


@pytest.mark.thorough
@one_of_each
def test_onnx_runs_with_any_batch_and_size(case, tmp_path):
    block, path, names = built(case).eval(), tmp_path / "block.onnx", [f"input{i}" for i in range(len(case.shapes))]
    free = dict.fromkeys(case.free, torch.export.Dim.DYNAMIC)
    torch.onnx.export(block, tuple(inputs(case)), path, dynamo=True, input_names=names, verbose=False,
                      dynamic_shapes=(free,) * len(names))
    session = onnxruntime.InferenceSession(path)
    for size in SIZES:
        x = of_size(case, *size)
        found, = session.run(None, {name: t.numpy() for name, t in zip(names, x, strict=True)})
        torch.testing.assert_close(torch.from_numpy(found), block(*x).detach(), rtol=1e-4, atol=1e-5)


@every_block
def test_deepcopy_and_state_dict(case):
    block, other, x = built(case).eval(), case.build().eval(), inputs(case)
    twin, y = copy.deepcopy(block), block(*x)
    assert torch.equal(twin(*x), y)
    assert torch.equal(other(*x), y) != bool(block.state_dict())       # another's weights, if there are any
    other.load_state_dict(block.state_dict())
    assert torch.equal(other(*x), y)
    with torch.no_grad():
        for p in twin.parameters():
            p.fill_(math.nan)
    assert torch.equal(block(*x), y)                       # the copy shares nothing


def every_second(x: Tensor) -> Tensor:
    """The same numbers, with a stranger between any two in memory."""
    return torch.stack([x, torch.full_like(x, math.nan)], dim=-1).flatten(-2)[..., ::2]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "every second": every_second,
    "columns first": lambda x: x.transpose(-1, -2).contiguous().transpose(-1, -2),
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "expanded": lambda x: x[:1].expand_as(x),
}


@every_block
@pytest.mark.parametrize("layout", LAYOUTS)
def test_non_contiguous_and_channels_last_input(case, layout):
    block = built(case).double()
    x = [LAYOUTS[layout](t) for t in inputs(case, DOUBLE)]
    plain = [t.contiguous() for t in x]
    assert not any(t.is_contiguous() for t in x)
    torch.testing.assert_close(block(*x), block(*plain), rtol=0, atol=1e-11)
    for a, b in zip(block.attention(*x).values(), block.attention(*plain).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@every_block
def test_a_model_in_channels_last(case):
    if len(case.shapes[0]) == 4:
        block, x = built(case), inputs(case)[0]
        last = copy.deepcopy(block).to(memory_format=torch.channels_last)
        torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), block(x), rtol=1e-4, atol=1e-5)


@every_block
@pytest.mark.parametrize("train", [False, True])
def test_a_batch_of_one(case, train):
    block, x = built(case).double().train(train), inputs(case, DOUBLE)
    alone = [t[:1].clone().requires_grad_() for t in x]
    y = block(*alone)
    assert torch.isfinite(y).all()
    assert [A.shape for A in block.attention(*alone).values()] == [(1, *m.shape[1:]) for m in case.maps.values()]
    y.square().sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in alone)
    if not train:                                          # and no image of a batch depends on another
        torch.testing.assert_close(y, block(*x)[:1], rtol=0, atol=1e-10)


@every_block
def test_an_empty_batch(case):
    block = built(case).eval()
    full, empty = block(*inputs(case)), inputs(case, batch=0)
    assert block(*empty).shape == (0, *full.shape[1:])
    assert [A.shape for A in block.attention(*empty).values()] == [(0, *m.shape[1:]) for m in case.maps.values()]


TWICE = {name: case for name, case in CASES.items() if "hard sigmoid" not in name}     # torch has its first one only


@pytest.mark.parametrize("case", TWICE.values(), ids=TWICE)
def test_second_and_forward_mode_derivatives(case):
    block, x = built(case).double().eval(), inputs(case, DOUBLE, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):                     # as the docstrings of the blocks with a fused kernel say
        assert torch.autograd.gradgradcheck(block, x, fast_mode=True)
        y, _ = torch.func.jvp(block, tuple(x), tuple(x))
        assert torch.autograd.gradcheck(block, x, fast_mode=True, check_forward_ad=True, check_backward_ad=False)
    torch.testing.assert_close(y, block(*x), rtol=0, atol=1e-12)


@every_block
def test_the_input_is_left_alone(case):
    block, x = built(case), inputs(case, requires_grad=True)
    before = [t.detach().clone() for t in x]
    block.attention(*x)
    block(*x).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(x, before, strict=True))
    result = block(*x)
    assert all(result.data_ptr() != t.data_ptr() for t in x)


@every_block
def test_eval_is_deterministic_and_changes_nothing(case):
    block, x = built(case).eval(), inputs(case)
    state = copy.deepcopy(block.state_dict())
    random = torch.get_rng_state()
    assert torch.equal(block(*x), block(*x))
    assert torch.equal(torch.get_rng_state(), random)
    for name, t in block.state_dict().items():
        assert torch.equal(t, state[name])


@every_block
def test_asking_alone_moves_no_statistics(case):
    block, x = built(case).train(), inputs(case)
    before = copy.deepcopy(block.state_dict())
    block.attention(*x)
    assert all(torch.equal(t, before[name]) for name, t in block.state_dict().items())
    block(*x)                                              # the pass moves them, where there are any
    moved = [name for name, t in block.state_dict().items() if not torch.equal(t, before[name])]
    assert bool(moved) == bool(list(block.buffers()))


@every_block
def test_a_block_built_without_numbers_starts_itself(case):
    """As large networks are built: on the meta device, then with memory, then each part sets its own parameters."""
    with torch.device("meta"):
        block = case.build()
    block.to_empty(device="cpu")
    for t in block.state_dict().values():
        t.fill_(7)
    torch.manual_seed(0)
    for part in block.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
    torch.manual_seed(0)
    expected = case.build().state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in block.state_dict().items())


@every_block
@pytest.mark.parametrize("train", [False, True])
def test_recording_gives_exactly_what_attention_returns(case, train):
    block, x = built(case).train(train), inputs(case)
    expected = copy.deepcopy(block).attention(*x)
    with record_attention(nn.ModuleDict({"inside": block})["inside"]) as maps:
        block(*x)
    assert list(maps[""]) == list(expected)
    assert all(torch.equal(maps[""][name], A) for name, A in expected.items())


@every_block
def test_every_parameter_and_input_has_its_effect(case):
    block, x = built(case).double().eval(), inputs(case, DOUBLE, requires_grad=True)
    block(*x).pow(3).sum().backward()
    for name, p in [*block.named_parameters(), *((f"input {i}", t) for i, t in enumerate(x))]:
        steepest = p.grad.abs().max()
        if name in case.without_effect:
            assert steepest < 1e-10, name
        else:
            assert steepest > 1e-8, name
    assert case.without_effect <= dict(block.named_parameters()).keys()


@pytest.mark.cuda
@every_block
def test_cuda_agrees_with_the_cpu(case):
    block, x = built(case), inputs(case, requires_grad=True)
    twin, moved = copy.deepcopy(block).cuda(), [t.detach().cuda().requires_grad_() for t in x]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    y, expected = twin(*moved), block(*x)
    assert y.device.type == "cuda"
    torch.testing.assert_close(y.cpu(), expected, rtol=1e-4, atol=1e-4)
    for a, b in zip(twin.attention(*moved).values(), block.attention(*x).values(), strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-4)
    y.square().sum().backward()
    expected.square().sum().backward()
    leaves = zip([*moved, *twin.parameters()], [*x, *block.parameters()], strict=True)
    pairs = [(a.grad.cpu(), b.grad) for a, b in leaves]
    # A gradient that is zero but for rounding, as of a bias before a batch norm, is rounded at the size of the others.
    tolerance = 1e-3 * max(1, *(b.abs().max().item() for _, b in pairs))
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-3, atol=tolerance)


@pytest.mark.cuda
@every_block
def test_cuda_under_autocast(case):
    block, x = built(case).cuda(), [t.cuda() for t in inputs(case)]
    with torch.autocast("cuda", torch.bfloat16):
        y = block(*x)
    assert y.dtype == case.low
    torch.testing.assert_close(y.float(), block(*x), rtol=0.1, atol=0.1)
    y.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters())


MEMORY = """
import pathlib, resource, sys, torch
import attention_lite as al
torch.set_num_threads(1)
block = {block}
def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():                                   # getrusage would begin with the parent's peak on Linux
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024        # kB, on macOS bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
def step(side):
    x = torch.randn(1, 16, side, side, requires_grad=True)
    x = x if {image} else x.flatten(2).transpose(1, 2)
    block(x{more}).sum().backward()
step(23)
start = peak()
step(78)
fused = peak()
with torch.no_grad():
    block.attention(torch.randn(1, 16, 78, 78) if {image} else torch.randn(1, 78 * 78, 16))
print(start, fused, peak())
"""
MASK = ", mask=torch.ones(side * side, dtype=torch.bool)"


@pytest.mark.thorough
@pytest.mark.parametrize(("block", "image", "more"), [
    ("al.ScaledDotProductAttention(16, h=2)", False, ""),
    ("al.ScaledDotProductAttention(16, h=2)", False, MASK),
    ("al.PositionAttentionModule(16)", True, ""),
    ("al.PositionAttentionModule(16, published=True)", True, ""),
    ("al.ScaledDotProductAttention(16, 4, 8, h=2)", False, ""),
    ("al.EMSA(16, h=2, apply_transform=False)", False, ""),
    ("al.EMSA(16, d_k=4, d_v=8, h=2, apply_transform=False)", False, ""),
])
def test_memory_of_forward_and_backward_does_not_grow_with_n_squared(block, image, more):
    """The map of 6084 × 6084 places takes 141 MiB a head: forward and backward do without any."""
    script = MEMORY.format(block=block, image=image, more=more)
    run = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    start, fused, with_map = map(float, run.stdout.split())
    assert fused - start < 72, f"forward and backward took {fused - start:.0f} MiB"
    assert with_map - fused > 130, f"the measure does not see the map: {with_map - fused:.0f} MiB"
