"""What the worker is told by its environment. The token is not here: the client reads GHL_ACCESS_TOKEN by itself."""

import os
from dataclasses import dataclass
from pathlib import Path

from ghl_voice_async import RateLimit

API_LIMIT = RateLimit()


@dataclass(frozen=True)
class Settings:
    redis_url: str = "redis://localhost:6379"
    base_url: str = "https://services.leadconnectorhq.com"
    database: Path = Path("calls.db")
    processes: int = 2  # as many as `taskiq worker` starts by itself
    """All that share the API's limit: every process of every `taskiq worker` with this app and these locations."""
    max_attempts: int = 5
    redeliver_after: float = 60.0
    """Seconds without a sign of life after which another process takes over what one was working at."""

    def __post_init__(self) -> None:
        if not self.redeliver_after >= 1:  # with much less, a process that is busy for a moment would count as dead
            raise ValueError(f"REDELIVER_AFTER must be at least 1 second, not {self.redeliver_after}")

    @classmethod
    def from_environment(cls) -> "Settings":
        get = os.environ.get
        return cls(
            redis_url=get("REDIS_URL", cls.redis_url),
            base_url=get("GHL_BASE_URL", cls.base_url),
            database=Path(get("CALLS_DATABASE", cls.database)),
            processes=int(get("GHL_PROCESSES", cls.processes)),
            max_attempts=int(get("GHL_MAX_ATTEMPTS", cls.max_attempts)),
            redeliver_after=float(get("REDELIVER_AFTER", cls.redeliver_after)),
        )

    @property
    def rate_limit(self) -> RateLimit:
        """The part of one process, rounded down: all of them together never have more than there is."""
        if not 1 <= self.processes <= API_LIMIT.max_requests:
            raise ValueError(f"GHL_PROCESSES must be from 1 to {API_LIMIT.max_requests}, not {self.processes}")
        return RateLimit(
            max_requests=API_LIMIT.max_requests // self.processes,
            daily=API_LIMIT.daily // self.processes,
        )
