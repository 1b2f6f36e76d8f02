"""A taskiq worker that fetches the logs of calls that ended."""
