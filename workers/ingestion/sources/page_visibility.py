"""What of a page a browser doesn't show; runs only in the sandboxed process."""

import re

from selectolax import lexbor

NOT_DISPLAYED = re.compile(r"display\s*:\s*none", re.IGNORECASE)
INVISIBLE = re.compile(r"visibility\s*:\s*(?:hidden|collapse)", re.IGNORECASE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
# Rules within @media and the like hold for some screens or for print only.
CONDITIONAL = re.compile(r"@[^{};]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
SIMPLE_SELECTOR = re.compile(r"[\w\s.#>-]{1,100}")
MAX_RULES = 100


def mark_hidden(tree: lexbor.LexborHTMLParser) -> None:
    """Give the attribute `hidden` to the elements that the page's own style sheets don't display."""
    rules = 0
    for style in tree.css("style"):
        text = CONDITIONAL.sub("", COMMENT.sub("", style.text() or ""))
        for names, declarations in RULE.findall(text):
            if NOT_DISPLAYED.search(declarations) is None:
                continue
            for selector in names.split(","):
                rules += 1
                if rules <= MAX_RULES and SIMPLE_SELECTOR.fullmatch(selector.strip()):
                    for node in tree.css(selector.strip()):
                        node.attrs["hidden"] = ""


def is_displayed(node: lexbor.LexborNode) -> bool:
    """Check whether a node itself takes a place on the page."""
    attributes = node.attributes
    return "hidden" not in attributes and NOT_DISPLAYED.search(attributes.get("style") or "") is None


def is_visible(node: lexbor.LexborNode) -> bool:
    """Check whether a node itself is displayed and can be seen."""
    return is_displayed(node) and INVISIBLE.search(node.attributes.get("style") or "") is None


def is_within_hidden(node: lexbor.LexborNode) -> bool:
    """Check whether a node or one that it stands in is not displayed."""
    current: lexbor.LexborNode | None = node
    while current is not None:
        if current.is_element_node and not is_displayed(current):
            return True
        current = current.parent
    return False


def remove_hidden(node: lexbor.LexborNode) -> None:
    """Remove what can't be seen within a node."""
    for inner in node.css("[hidden], [style]"):
        if inner.mem_id != node.mem_id and not is_visible(inner):
            inner.decompose()
