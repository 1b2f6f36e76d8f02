"""Exchange a refresh token for an access token, and keep the refresh token that replaces it."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import aiohttp

STORED = Path("refresh-token")  # a row of your database, more likely


def load_refresh_token() -> str:
    return STORED.read_text()


def store_refresh_token(refresh_token: str) -> None:
    """Replace the file as a whole. After a crash it has the old token or the new one, and never half of one."""
    with NamedTemporaryFile("w", dir=STORED.parent, delete=False) as beside:  # which nobody else may read
        try:
            beside.write(refresh_token)
            beside.flush()
            os.fsync(beside.fileno())
            Path(beside.name).replace(STORED)
        except BaseException:
            Path(beside.name).unlink()
            raise


async def refresh() -> str:
    form = {
        "grantType": "refresh_token",
        "refreshToken": load_refresh_token(),
        "clientId": os.environ["GHL_CLIENT_ID"],
        "clientSecret": os.environ["GHL_CLIENT_SECRET"],
        "userType": "Location",
    }
    url = os.environ.get("GHL_BASE_URL", "https://services.leadconnectorhq.com")
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{url}/oauth/token", data=form, headers={"Version": "v3"}) as response,
    ):
        tokens = await response.json()
    store_refresh_token(tokens["refreshToken"])  # first, since the old one is of no use any more
    return str(tokens["accessToken"])
