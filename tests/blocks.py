"""The code blocks of the README and of the site's pages, with where they stand."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from attrs import frozen
from markdown_it import MarkdownIt

ROOT: Final = Path(__file__).parents[1]
EXAMPLES: Final = ROOT / "docs" / "examples"
DOCUMENTS: Final = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
INDENTED: Final = "indented"


@frozen
class Block:
    """One block: `kind` is its language, or its directive with braces, and `argument` what follows that."""

    document: str
    line: int
    kind: str
    argument: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


@cache
def blocks_of(document: str) -> list[Block]:
    found = []
    for token in MarkdownIt("commonmark").parse((ROOT / document).read_text()):
        if token.type in {"fence", "code_block"}:
            assert token.map is not None
            kind, _, argument = (token.info or INDENTED).partition(" ")
            found.append(Block(document, token.map[0] + 1, kind, argument.strip(), token.content))
    return found


BLOCKS: Final = [block for document in DOCUMENTS for block in blocks_of(document)]


def output_of(block: Block) -> Block | None:
    """Return the `text` block that comes next on the page: what this one prints."""
    for this, following in pairwise(blocks_of(block.document)):
        if this == block and following.kind == "text":
            return following
    return None
