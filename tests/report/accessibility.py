"""The rules of accessibility that hold for a page without scripts, checked without a browser."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

VOID = ("meta", "br", "link", "img", "input", "hr", "wbr")
ALIVE = ("script", "img", "iframe", "object", "embed", "link", "form", "base", "use", "image", "foreignobject")
Attributes = dict[str, str | None]
#: Text of these classes stands on the page, on a band or in a shaded cell of its own tone.
TONES = ("good", "bad", "known", "hole")


class Node:
    def __init__(self, tag: str, attributes: Attributes, parent: Node | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Node] = []
        self.own_text = ""

    @property
    def text(self) -> str:
        return self.own_text + "".join(child.text for child in self.children)

    def all(self, *tags: str) -> list[Node]:
        found = [self] if self.tag in tags or not tags else []
        return [*found, *(node for child in self.children for node in child.all(*tags))]


class _Tree(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.at = Node("", {}, None)
        self.problems: list[str] = []
        self.feed(text)
        self.close()
        if self.at is not self.root:
            self.problems.append(f"<{self.at.tag}> is not closed")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs), self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.at.children.append(Node(tag, dict(attrs), self.at))

    def handle_endtag(self, tag: str) -> None:
        if tag != self.at.tag:
            self.problems.append(f"</{tag}> closes <{self.at.tag}>")
        self.at = self.at.parent or self.root

    def handle_data(self, data: str) -> None:
        self.at.own_text += data


def tree(text: str) -> Node:
    parsed = _Tree(text)
    assert not parsed.problems, parsed.problems[:5]
    return parsed.root


def problems(text: str) -> list[str]:
    """What is wrong with a page; empty if nothing is."""
    root = tree(text)
    found = [f"{tag}: {len(nodes)}" for tag in ("html", "main", "h1") if len(nodes := root.all(tag)) != 1]
    found += [] if root.all("html")[0].attributes.get("lang") else ["no language"]
    found += [] if all(root.all(tag)[0].text.strip() for tag in ("head", "title", "h1")) else ["an empty title"]
    found += [] if any(node.attributes.get("name") == "viewport" for node in root.all("meta")) else ["no viewport"]
    found += _headings(root) + _tables(root) + _pictures(root) + _references(root)
    for node in root.all():
        if int(node.attributes.get("tabindex") or 0) > 0:
            found.append(f"<{node.tag}> has a positive tabindex")
        if node.tag == "summary" and not node.text.strip():
            found.append("an empty summary")
    return found


def alive(text: str) -> list[str]:
    """What in a page could run, load, or lead elsewhere; empty if nothing could."""
    found = []
    for node in tree(text).all():
        if node.tag in (
            "script",
            "img",
            "iframe",
            "object",
            "embed",
            "link",
            "form",
            "base",
            "use",
            "image",
            "foreignobject",
        ):
            found.append(f"<{node.tag}>")
        for name, value in node.attributes.items():
            if name.startswith("on") or name in ("style", "srcset", "src", "action", "formaction", "xlink:href"):
                found.append(f"{name} of <{node.tag}>")
            if name == "href" and not (value or "").startswith("#"):
                found.append(f"a link to {value!r:.40}")
        if node.tag == "style" and ("url(" in node.own_text or "@import" in node.own_text):
            found.append("a style that loads")
    return found


def contrasts(style: str) -> dict[tuple[str, str, str], float]:
    """The contrast of every text colour on each ground that it stands on, in light and dark."""
    light, dark = (_colours(part) for part in re.findall(r":root \{(.*?)\}", style, re.DOTALL))
    found = {}
    for scheme, colours in (("light", light), ("dark", {**light, **dark})):
        pairs = [(text, ground) for text in ("ink", "soft", "head", *TONES) for ground in ("page", "band")]
        pairs += [(tone, f"{tone}-cell") for tone in TONES]
        pairs += [("soft", "none-cell"), ("ink", "none-cell"), ("ink", "zone"), ("soft", "zone")]
        for text, ground in pairs:
            found[scheme, text, ground] = contrast(colours[text], colours[ground])
    return found


def contrast(one: str, other: str) -> float:
    """By WCAG 2: from 1, the same, to 21, black on white."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[position : position + 2], 16) / 255 for position in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _colours(declarations: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", declarations))


def _headings(root: Node) -> list[str]:
    levels = [int(node.tag[1]) for node in root.all("h1", "h2", "h3", "h4", "h5", "h6")]
    jumps = [f"h{before} then h{after}" for before, after in itertools.pairwise(levels) if after > before + 1]
    return [*jumps, *([] if levels[:1] == [1] else ["the first heading is no h1"])]


def _tables(root: Node) -> list[str]:
    found = []
    for table in root.all("table"):
        around = table.parent
        if around is None or not around.attributes.get("aria-label"):
            found.append("a table without a name")
        found += [
            f"a th without scope: {head.text:.30}" for head in table.all("th") if not head.attributes.get("scope")
        ]
        found += ["an empty th" for head in table.all("thead")[0].all("th") if not head.text.strip()]
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        found += [f"rows of {sorted(widths)} cells"] if len(widths) > 1 else []
        if around is not None and around.attributes.get("tabindex") != "0":
            found.append("a table that scrolls cannot be reached by the keyboard")
    return found


def _pictures(root: Node) -> list[str]:
    found = []
    for picture in root.all("svg"):
        if any(above.tag == "svg" for above in _above(picture)):
            continue
        told = {node.tag: node.text.strip() for node in picture.children if node.tag in ("title", "desc")}
        if picture.attributes.get("role") != "img" or not told.get("title") or not told.get("desc"):
            found.append("a picture without role, title or description")
        if not any(above.tag == "figure" and above.all("figcaption") for above in _above(picture)):
            found.append("a picture without a caption")
    return found


def _references(root: Node) -> list[str]:
    names = [name for node in root.all() if (name := node.attributes.get("id"))]
    found = [f"the id {name} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    links = [node.attributes.get("href") or "" for node in root.all("a")]
    return [*found, *(f"a link to {link}, which is nowhere" for link in links if link.lstrip("#") not in names)]


def _above(node: Node) -> list[Node]:
    return [] if node.parent is None else [node.parent, *_above(node.parent)]
