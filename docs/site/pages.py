"""Hook of mkdocs: the pages that lie beside docs/, and the links that lead out of it.

README.md, CONTRIBUTING.md and CHANGELOG.md are pages of the site as they stand; their links, and
links to them, are written for GitHub and led to the site's pages here. Other files of the project
are on GitHub.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""File beside docs/ -> its page."""

LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]+)?(?=\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside docs/."""
    for name, page in BESIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(
            File.generated(
                config, page, content=with_site_links(text, "", config.extra["repository"])
            )
        )
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead a page's links out of docs/ to the site's pages, or to GitHub."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]  # its part has no other page
    if page.file.src_uri in BESIDE.values():
        return markdown
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")
    return with_site_links(markdown, folder, config.extra["repository"])


def with_site_links(text: str, folder: str, repository: str) -> str:
    """Return a text of a folder of the project with links as the site's pages have them."""

    def mended(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"\w+:", target):
            return match[0]
        return f"{match[1]}{site_link(target, folder, repository)}{match[3] or ''}"

    return LINK.sub(mended, text)


def site_link(target: str, folder: str, repository: str) -> str:
    """Return the link on the site for a path as it is written in a file of ``folder``."""
    path = posixpath.normpath(posixpath.join(folder, target))
    page = BESIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
    if not page:
        return f"{repository}/blob/main/{path}"
    start = posixpath.relpath(folder, "docs") if folder.startswith("docs") else "."
    return posixpath.relpath(page, start)
