"""Makes a website of the repository's own Markdown files, where they lie: nothing is copied or moved.

Pages keep their paths, so links between them work as on GitHub. A link to anything that is not a page leads to GitHub.
"""

import posixpath
import re
import subprocess
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = (".md",)
MEDIA = (".svg", ".png", ".css")
LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")


def on_files(files, config):
    """Takes the repository's files in place of the folder that MkDocs looks through; those of the theme stay."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    ours = [p for p in listed.stdout.splitlines() if p.endswith(PAGES + MEDIA) and not p.startswith(".") and "testdata" not in p]
    theme = [f for f in files if not f.src_uri.endswith(PAGES) and f.abs_src_path and not Path(f.abs_src_path).is_relative_to(ROOT / "docs")]
    return Files([File(p, str(ROOT), config.site_dir, config.use_directory_urls) for p in ours] + theme)


def on_page_markdown(markdown, page, config, files):
    def lead(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), match[2]))
        if files.get_file_from_path(target) or not (ROOT / target).exists():
            return match[0]  # a page, or a fault that --strict finds
        if files.get_file_from_path(target + "/README.md"):
            return f"{match[1]}{match[2].rstrip('/')}/README.md{match[3]}"
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{match[1]}{config.repo_url.rstrip('/')}/{kind}/main/{target}{match[3]}"

    return LINK.sub(lead, markdown)
