"""The command line, `ghl-voice`. Needs click and rich, which `pip install 'ghl-voice-async[cli]'` brings."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from ghl_voice_async.cli.app import run  # noqa: PLC0415  # the extra may not be installed
    except ModuleNotFoundError as error:
        print(f"ghl-voice needs {error.name}: pip install 'ghl-voice-async[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ghl-voice: interrupted", file=sys.stderr)
        return 130
    return run(sys.argv[1:])
