"""How Sphinx builds the site."""

from sphinx.application import Sphinx

from ghl_voice_async import __version__

project = "ghl-voice-async"
author = "The ghl-voice-async authors"
copyright = "2026, the ghl-voice-async authors"  # noqa: A001  # Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"ghl-voice-async {__version__}"
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings have names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

# These have sites of their own, which a build without a network cannot look into.
nitpick_ignore_regex = [
    ("py:.*", r"(aiohttp|collections|datetime|hypothesis|types|typing|st|web)\..*"),
    ("py:.*", r"(Any|.*AnyFault|ABC|ClassVar|Iterable|Iterator|Mapping|Self|SearchStrategy|TracebackType|datetime|T)"),
]


def without_signature(_: Sphinx, what: str, __: str, documented: object, *___: object) -> tuple[str, str] | None:
    """Leave out the signatures of models, whose fields follow, and of errors and protocols, which nobody calls."""
    is_record = getattr(documented, "__module__", "") in {"ghl_voice_async.models", "ghl_voice_async.testing.seen"}
    if what == "exception" or (what == "class" and (is_record or getattr(documented, "_is_protocol", False))):
        return "", ""
    return None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", without_signature)
