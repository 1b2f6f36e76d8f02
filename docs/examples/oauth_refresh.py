"""Exchange a refresh token for an access token, and keep the refresh token that replaces it."""

import os
from pathlib import Path

import aiohttp

STORED = Path("refresh-token")  # a row of your database, more likely


def load_refresh_token() -> str:
    return STORED.read_text()


def store_refresh_token(refresh_token: str) -> None:
    STORED.touch(mode=0o600)  # nobody else may read it
    STORED.write_text(refresh_token)


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
