from aiohttp import web

from ghl_voice_async import CallLog, DecodeError, decode_call_log


async def store(call: CallLog) -> None:
    """Keep it: a row in your database, or a message in your queue."""


async def call_ended(request: web.Request) -> web.Response:
    try:
        call = decode_call_log(await request.read())
    except DecodeError as error:
        return web.json_response({"problems": error.problems}, status=422)
    await store(call)
    return web.Response(status=204)


app = web.Application()
app.router.add_post("/call-ended", call_ended)
