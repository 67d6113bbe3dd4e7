"""The seed article's snippets run with nothing changed but the import line, and print the article's shapes."""

import pytest
import torch

import attention_lite

SNIPPETS = {
    "SEAttention": ("SEAttention(channel=512, reduction=8)", "block(x)", (50, 512, 7, 7)),
    "ScaledDotProductAttention": ("ScaledDotProductAttention(d_model=512, d_k=512, d_v=512, h=8)", "block(x, x, x)",
                                  (50, 49, 512)),
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippet(name, capsys):
    construct, call, shape = SNIPPETS[name]
    exec(f"""
import torch
from attention_lite import {name}

x = torch.randn{shape}
block = {construct}
output = {call}
print(output.shape)
""", {})
    assert capsys.readouterr().out == f"{torch.Size(shape)}\n"


def test_every_mechanism_of_the_package_has_its_snippet():
    mechanisms = {name for name in attention_lite.__all__ if name not in {"AttentionBlock", "record_attention"}}
    assert mechanisms == set(SNIPPETS)
