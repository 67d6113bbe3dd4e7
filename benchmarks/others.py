"""The same mechanisms in two other packages, as columns beside ours. Both are optional; nothing else needs them.

"collection" is fightingcv-attention; "timm" has five of the gates, global context and self-attention. README.md says
where they compute something else than our blocks.
"""

from importlib import import_module
from importlib.util import find_spec

from torch import Tensor, nn

from attention_lite import (
    EMSA,
    PSA,
    BAMBlock,
    CBAMBlock,
    CoordinateAttention,
    DAModule,
    ECAAttention,
    ExternalAttention,
    GlobalContextBlock,
    ScaledDotProductAttention,
    SEAttention,
    SimAM,
    SKAttention,
)
from benchmarks.stand_ins import stand_ins

PACKAGES = {"collection": "fightingcv-attention", "timm": "timm"}


class _OfItself(nn.Module):
    """A module that wants queries, keys and values, called with one sequence for all three."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x)


def missing(column: str) -> str | None:
    """A sentence with the command that brings the column's package, if it is not installed."""
    package = PACKAGES[column]
    if find_spec(package.replace("-", "_")) is None:
        return f"{package} is not installed: pip install --no-deps {package}"
    return None


def other(column: str, block: nn.Module, x: Tensor) -> nn.Module | str:
    """The column's module of the block's sizes for inputs like `x`, or a sentence that says why there is none."""
    if sentence := missing(column):
        return sentence
    return (_collection if column == "collection" else _timm)(block, x) or "has no such module"


def _collection(block: nn.Module, x: Tensor) -> nn.Module | str | None:
    def made(name: str, *args: object, file: str | None = None, **kwargs: object) -> nn.Module:
        module = getattr(import_module(f"fightingcv_attention.attention.{file or name}"), name)(*args, **kwargs)
        for layer in module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        return module

    match block:
        case SEAttention():
            return made("SEAttention", block.channel, block.channel // block.W1.out_features)
        case ECAAttention():
            return made("ECAAttention", block.conv.kernel_size[0])
        case CBAMBlock():
            return made("CBAMBlock", block.channel, block.channel // block.W0.out_features,
                        block.conv.kernel_size[0], file="CBAM")
        case BAMBlock():
            first, _, _, dilated = block.spatial_branch[:4]
            return made("BAMBlock", block.channel, block.channel // first.out_channels, dilated.dilation[0], file="BAM")
        case SKAttention():
            conv, d = block.branches[0][0], block.compact[0].out_features
            return made("SKAttention", block.channel, [3, 5], block.channel, conv.groups, d)
        case PSA():
            return "PSA writes over its own input, so that nothing can be trained"
        case ScaledDotProductAttention():
            return _OfItself(made("ScaledDotProductAttention", block.d_model, block.d_k, block.d_v, block.h,
                                  file="SelfAttention"))
        case DAModule():
            return made("DAModule", block.d_model, block.before_channel[0].kernel_size[0], *x.shape[2:], file="DANet")
        case EMSA():
            side = round(x.shape[1] ** 0.5)
            return _OfItself(made("EMSA", block.d_model, block.d_k, block.W_V.out_features // block.h, block.h, H=side,
                                  W=side, ratio=block.ratio, apply_transform=block.mix is not None))
        case ExternalAttention():
            return made("ExternalAttention", block.d_model, block.M_k.out_features)
        case SimAM():
            return made("SimAM", None, block.lam)
        case CoordinateAttention():
            return made("CoordAtt", block.channel, block.channel, block.channel // block.F1.out_channels,
                        file="CoordAttention")
    return None


def _timm(block: nn.Module, x: Tensor) -> nn.Module | None:
    with stand_ins("torchvision"):                     # timm asks for it, and the blocks use nothing of it
        layers = import_module("timm.layers")
        import_module("timm.layers.cbam")
    match block:
        case SEAttention():
            return layers.SEModule(block.channel, rd_channels=block.W1.out_features, bias=False)
        case ECAAttention():
            return layers.EcaModule(kernel_size=block.conv.kernel_size[0])
        case CBAMBlock():
            return layers.cbam.CbamModule(block.channel, rd_channels=block.W0.out_features,
                                     spatial_kernel_size=block.conv.kernel_size[0])
        case SKAttention():
            conv, d = block.branches[0][0], block.compact[0].out_features
            return layers.SelectiveKernel(block.channel, groups=conv.groups, rd_channels=d, split_input=False)
        case ScaledDotProductAttention():
            return layers.Attention(block.d_model, block.h, block.d_k, proj_bias=False)
        case GlobalContextBlock():
            return layers.GlobalContext(block.channel, fuse_add=True, fuse_scale=False,
                                        rd_channels=block.W_v1.out_features)
        case CoordinateAttention():
            module = import_module("timm.layers.coord_attn")
            return module.CoordAttn(block.channel, rd_channels=block.F1.out_channels, bias=True)
    return None
