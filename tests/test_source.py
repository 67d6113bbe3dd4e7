"""What a chapter shows of the package's source: whole but for the docstrings, of which it shows the first line."""

import ast
import inspect

import attention_lite
from attention_lite import SEAttention
from attention_lite.source import source_of


def shown(*parts) -> str:
    return source_of(*parts).data.removeprefix("```python\n").removesuffix("```")


def test_a_class_is_shown_whole_with_its_defaults_and_shape_comments():
    listing = shown(SEAttention)
    assert "channel: int = 512, reduction: int = 16, bias: bool = False" in listing
    assert "# squeeze: (B, C, H, W) -> (B, C)" in listing
    code = [line for line in inspect.getsource(SEAttention).splitlines() if line.strip()]
    assert [line for line in listing.splitlines() if " def " in line] == [line for line in code if " def " in line]


def test_each_docstring_is_cut_to_its_first_line():
    for name in attention_lite.__all__:
        part = getattr(attention_lite, name)
        if not inspect.isclass(part):
            continue
        documented = [node for node in ast.walk(ast.parse(shown(part)))
                      if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)]
        assert documented
        assert all(len(ast.get_docstring(node).splitlines()) == 1 for node in documented), name


def test_the_code_is_the_package_s_own():
    """Without docstrings, listing and source are the same program."""
    def bare(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        return ast.unparse(tree)

    assert bare(shown(SEAttention)) == bare(inspect.getsource(SEAttention))


def test_methods_are_shown_one_after_the_other():
    listing = shown(SEAttention.attention, SEAttention.forward)
    assert listing.startswith("def attention(self, x: Tensor)")
    assert "\n\ndef forward(self" in listing
