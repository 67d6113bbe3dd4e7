"""The seed article's ten snippets run with nothing changed but the import line, and print the article's shapes.

Two of them lost their line breaks in the article, which are put back here.
"""

import re

import pytest
import torch
from PIL import Image

import attention_lite
from attention_lite import AttentionBlock
from attention_lite.lab import photographs
from benchmarks.stand_ins import stand_ins
from conftest import ROOT

IMAGE, TOKENS = (50, 512, 7, 7), (50, 49, 512)

# class -> the snippet after its import line, and the shape of its input and output
SNIPPETS: dict[str, tuple[str, tuple[int, ...]]] = {
    "ExternalAttention": ("""
import torch


input=torch.randn(50,49,512)
ea = ExternalAttention(d_model=512,S=8)
output=ea(input)
print(output.shape)
""", TOKENS),
    "ScaledDotProductAttention": ("""
import torch

input=torch.randn(50,49,512)
sa = ScaledDotProductAttention(d_model=512, d_k=512, d_v=512, h=8)
output=sa(input,input,input)
print(output.shape)
""", TOKENS),
    "SEAttention": ("""
import torch

input=torch.randn(50,512,7,7)
se = SEAttention(channel=512,reduction=8)
output=se(input)
print(output.shape)
""", IMAGE),
    "SKAttention": ("""
import torch

input=torch.randn(50,512,7,7)
se = SKAttention(channel=512,reduction=8)
output=se(input)
print(output.shape)
""", IMAGE),
    "CBAMBlock": ("""
import torch

input=torch.randn(50,512,7,7)
kernel_size=input.shape[2]
cbam = CBAMBlock(channel=512,reduction=16,kernel_size=kernel_size)
output=cbam(input)
print(output.shape)
""", IMAGE),
    "BAMBlock": ("""
import torch

input=torch.randn(50,512,7,7)
bam = BAMBlock(channel=512,reduction=16,dia_val=2)
output=bam(input)
print(output.shape)
""", IMAGE),
    "ECAAttention": ("""
import torch

input=torch.randn(50,512,7,7)
eca = ECAAttention(kernel_size=3)
output=eca(input)
print(output.shape)
""", IMAGE),
    "DAModule": ("""
import torch

input=torch.randn(50,512,7,7)
danet=DAModule(d_model=512,kernel_size=3,H=7,W=7)
print(danet(input).shape)
""", IMAGE),
    "PSA": ("""
import torch

input=torch.randn(50,512,7,7)
psa = PSA(channel=512,reduction=8)
output=psa(input)
print(output.shape)
""", IMAGE),
    "EMSA": ("""
import torch
from torch import nn
from torch.nn import functional as F

input=torch.randn(50,64,512)
emsa = EMSA(d_model=512, d_k=512, d_v=512, h=8,H=8,W=8,ratio=2,apply_transform=True)
output=emsa(input,input,input)
print(output.shape)
""", (50, 64, 512)),
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippet(name, capsys):
    snippet, shape = SNIPPETS[name]
    exec(f"from attention_lite import {name}{snippet}", {})
    assert capsys.readouterr().out == f"{torch.Size(shape)}\n"


def test_every_mechanism_of_the_article_has_its_snippet():
    public = {name for name in attention_lite.__all__ if isinstance(getattr(attention_lite, name), type)}
    parts = {"ChannelAttentionModule", "PositionAttentionModule"}          # of DAModule; the article has no snippet
    later = {"CoordinateAttention", "GlobalContextBlock", "SimAM"}           # not among its ten
    assert parts | later < public
    assert public - {AttentionBlock.__name__} - parts - later == set(SNIPPETS)
    assert len(SNIPPETS) == 10


def test_the_code_for_an_own_photograph_runs_in_order(tmp_path, monkeypatch, capsys):
    """Each network of the book that takes a photograph, on a file."""
    text = (ROOT / "book" / "photographs.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    Image.fromarray(photographs.load("coffee")).save(tmp_path / "me.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    with torch.no_grad():
        for code in snippets:
            exec(code, names)
    assert names["salient"].shape == (1, 224, 224)
    assert names["text"].shape == (1, 640, 640)
    assert len(names["gates"]) == 13
    assert names["upright"] + names["upside_down"] == pytest.approx(1, abs=1e-5)
    assert names["shown"].shape == (4, 3, 192, 192)
    assert len(eval(capsys.readouterr().out)) == 4


@pytest.mark.parametrize(("page", "blocks"), [("README.md", 2), ("book/your-model.md", 6)])
def test_the_code_of_pages_runs_in_order_and_gives_maps(page, blocks, tmp_path, monkeypatch):
    text = (ROOT / page).read_text(encoding="utf-8").replace("pretrained=True", "pretrained=False")    # no network here
    Image.fromarray(photographs.load("coffee")).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    snippets = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
                if "attention_lite.exercises" not in code]                 # whose answer is the reader's
    assert len(snippets) == blocks
    names: dict = {}
    with stand_ins("torchvision"):
        exec("import timm", {})                                            # its imports alone need stand-ins
    for code in snippets:
        exec(code, names)
    if page == "README.md":
        assert names["weights"].shape == (1, 4, 49, 49)
    else:
        assert names["seen"].shape == names["shade"].shape == (16, 16)
        assert torch.equal(names["seen"], names["whole"][0, 3, 186, 1:].reshape(16, 16))
        assert names["A"].shape == (1, 4, 49, 49)
        assert len(names["gates"]) == 8
